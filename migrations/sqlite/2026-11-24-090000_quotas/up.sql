-- The events that tenants with a monthly quota have stored, counted in the transactions that store them. One row for a tenant's month:
-- SQLite has one writer at a time, and nobody waits for it here who would not wait anyway.

CREATE TABLE tenant_usage (
    tenant_id INTEGER NOT NULL,
    -- The month of receipt in UTC, as 202611.
    month INTEGER NOT NULL,
    -- The events that were counted.
    used INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, month),
    CONSTRAINT tenant_usage_not_negative CHECK (used >= 0)
) STRICT;

-- The events that tenants with a monthly quota have stored, counted in the transactions that store them.
--
-- A tenant's month has one row or several, its slots. Each holds a share of the quota, so that writers that take from different
-- slots don't wait for each other: a writer takes from any slot that nobody else is taking from and that has room. Where none has,
-- it locks them all, in their order, and spreads what is left (docs/adr/0008-quotas-in-slots.md).

CREATE TABLE tenant_usage (
    tenant_id bigint NOT NULL,
    -- The month of receipt in UTC, as 202611.
    month bigint NOT NULL,
    slot bigint NOT NULL,
    -- The quota of which the share is a part.
    quota bigint NOT NULL,
    -- The events that may be counted here. The shares of a month add up to its quota, or to what is used where that is more.
    share bigint NOT NULL,
    -- The events that were counted here.
    used bigint NOT NULL,
    PRIMARY KEY (tenant_id, month, slot),
    CONSTRAINT tenant_usage_within_share CHECK (used BETWEEN 0 AND share)
    -- Room on each page for the next version of its rows, which then needs no new entry in the index.
) WITH (fillfactor = 50);

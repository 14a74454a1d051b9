-- What the deletion of a tenant has removed so far, counted in the steps that remove it: a receipt tells of all, also where the
-- deletion was cut off and gone on with.

CREATE TABLE tenant_deletions (
    tenant_id bigint PRIMARY KEY,
    events bigint NOT NULL,
    event_keys bigint NOT NULL,
    CONSTRAINT tenant_deletions_not_negative CHECK (events >= 0 AND event_keys >= 0)
);

ALTER TABLE tenant_deletions ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON tenant_deletions
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);

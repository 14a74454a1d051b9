-- What the deletion of a tenant has removed so far, counted in the steps that remove it: a receipt tells of all, also where the
-- deletion was cut off and gone on with.

CREATE TABLE tenant_deletions (
    tenant_id INTEGER NOT NULL PRIMARY KEY,
    events INTEGER NOT NULL,
    event_keys INTEGER NOT NULL,
    CONSTRAINT tenant_deletions_not_negative CHECK (events >= 0 AND event_keys >= 0)
) STRICT;

-- Monthly quotas are counted in one row for each group of events in place of one for each of its tenants
-- (docs/adr/0012-quotas-in-reservations.md). What was counted in slots is kept, in one row for a tenant and month.

-- Servers of the release before are counting: what they have not committed yet is waited for, and then they count no more.
LOCK TABLE tenant_usage IN ACCESS EXCLUSIVE MODE;

-- A writer stores groups of events, one after the other, and may count from what is reserved for it.
CREATE TABLE quota_writers (
    writer_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Whose it is. One that was long silent is given to somebody else.
    owner uuid NOT NULL,
    -- Raised where what is reserved for it changed without its knowing. It counts nothing before it has looked again.
    epoch bigint NOT NULL,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What groups have counted, a row for each and month, until it is added to tenant_usage.used. Written in the transactions that store the
-- events, by those that hold their writer's row.
CREATE TABLE quota_log (
    writer_id bigint NOT NULL,
    month bigint NOT NULL,
    tenant_ids bigint[] NOT NULL,
    -- The events of each of those tenants.
    events bigint[] NOT NULL
    -- Its rows live for seconds.
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
-- It has no key, and whoever publishes all tables would else be told that nothing can be deleted here.
ALTER TABLE quota_log REPLICA IDENTITY FULL;

-- No policy lets anybody read them who is held to policies: they are of no tenant, or of many.
ALTER TABLE quota_writers ENABLE ROW LEVEL SECURITY;
ALTER TABLE quota_log ENABLE ROW LEVEL SECURITY;

UPDATE tenant_usage AS usage SET used = counted.used, share = counted.used
FROM (SELECT tenant_id, month, sum(used)::bigint AS used FROM tenant_usage GROUP BY tenant_id, month) AS counted
WHERE usage.tenant_id = counted.tenant_id AND usage.month = counted.month AND usage.slot = 0;
DELETE FROM tenant_usage WHERE slot > 0;

-- Writer 0 is nobody: its row stands for the account, and its share is what was counted there.
ALTER TABLE tenant_usage RENAME COLUMN slot TO writer_id;
ALTER TABLE tenant_usage DROP COLUMN quota;

-- Older programs would take from what is reserved for others.
UPDATE schema_compatibility SET minimum_version = '20261124130000';

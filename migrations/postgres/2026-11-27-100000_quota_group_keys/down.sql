-- Adds up what was counted, and gives back what is reserved: the release before begins with a log that is empty.

-- What servers are counting just now is waited for.
LOCK TABLE tenant_usage, quota_writers, event_keys IN ACCESS EXCLUSIVE MODE;

UPDATE schema_compatibility SET minimum_version = '20261124130000';

INSERT INTO tenant_usage (tenant_id, month, writer_id, share, used)
SELECT tenant_id, month, 0, sum(used), sum(used)
FROM (
    SELECT tenant_id, month, used FROM tenant_usage
    UNION ALL
    SELECT counted[place], counted[1], counted[place + 1]
    FROM event_keys CROSS JOIN generate_series(2, cardinality(counted), 2) AS place
    WHERE tenant_id = 0
        AND EXISTS (SELECT FROM tenant_usage AS usage WHERE usage.tenant_id = counted[place] AND usage.month = counted[1])
) AS counted
GROUP BY tenant_id, month
ON CONFLICT (tenant_id, month, writer_id) DO UPDATE SET share = excluded.share, used = excluded.used;
DELETE FROM tenant_usage WHERE writer_id > 0;
DELETE FROM quota_writers;
ALTER TABLE quota_writers DROP COLUMN number;

DELETE FROM event_keys WHERE tenant_id = 0;
ALTER TABLE event_keys DROP COLUMN counted;

CREATE TABLE quota_log (
    writer_id bigint NOT NULL,
    month bigint NOT NULL,
    tenant_ids bigint[] NOT NULL,
    events bigint[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
ALTER TABLE quota_log REPLICA IDENTITY FULL;
ALTER TABLE quota_log ENABLE ROW LEVEL SECURITY;

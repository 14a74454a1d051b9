-- Adds up what was counted, and gives back what is reserved: the release before spreads what is left itself.

-- What servers are counting just now is waited for.
LOCK TABLE tenant_usage, quota_writers, quota_log IN ACCESS EXCLUSIVE MODE;

UPDATE schema_compatibility SET minimum_version = '20261124110000';

INSERT INTO tenant_usage (tenant_id, month, writer_id, share, used)
SELECT tenant_id, month, 0, sum(used), sum(used)
FROM (
    SELECT tenant_id, month, used FROM tenant_usage
    UNION ALL
    SELECT counted.tenant_id, month, counted.events
    FROM quota_log CROSS JOIN unnest(tenant_ids, quota_log.events) AS counted (tenant_id, events)
    WHERE EXISTS (SELECT FROM tenant_usage WHERE tenant_usage.tenant_id = counted.tenant_id AND tenant_usage.month = quota_log.month)
) AS counted
GROUP BY tenant_id, month
ON CONFLICT (tenant_id, month, writer_id) DO UPDATE SET share = excluded.share, used = excluded.used;
DELETE FROM tenant_usage WHERE writer_id > 0;

DROP TABLE quota_log;
DROP TABLE quota_writers;
ALTER TABLE tenant_usage RENAME COLUMN writer_id TO slot;
ALTER TABLE tenant_usage ADD COLUMN quota bigint;
UPDATE tenant_usage SET quota = used;
ALTER TABLE tenant_usage ALTER COLUMN quota SET NOT NULL;

-- What a group of events counts of quotas stands among the keys of its events, in place of a log that each group locked a row for and
-- wrote to by a statement of its own (docs/adr/0013-quotas-counted-with-the-keys.md).

-- Servers of the release before are counting: what they have not committed yet is waited for, and then they count no more.
LOCK TABLE tenant_usage, quota_log, quota_writers, event_keys IN ACCESS EXCLUSIVE MODE;

-- Adds up what was counted, and gives back what is reserved.
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

-- A key of tenant 0, which is nobody, is that of a group: its writer, the writer's epoch, and the group's number in that. The first of its
-- row is the month and then, in turns, a tenant and how many of its events were stored. A row without it shows a writer that it was called.
ALTER TABLE event_keys ADD COLUMN counted bigint[];

-- The number of the writer's first group, in this epoch, that is not added up.
ALTER TABLE quota_writers ADD COLUMN number bigint NOT NULL DEFAULT 0;
-- Who had it looked into the log.
DELETE FROM quota_writers;

UPDATE schema_compatibility SET minimum_version = '20261127100000';

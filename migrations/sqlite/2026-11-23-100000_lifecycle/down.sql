-- Takes the limits of tenants and the uses of keys away, and lets nobody hear of changes.

DROP TRIGGER api_keys_tell_delete;
DROP TRIGGER api_keys_tell_update;
DROP TRIGGER api_keys_tell_insert;
DROP TRIGGER tenants_tell_delete;
DROP TRIGGER tenants_tell_update;
DROP TABLE tenant_limits;
DROP TABLE catalog_changes;
DELETE FROM events WHERE removed_at IS NOT NULL;
ALTER TABLE events DROP COLUMN removed_at;
ALTER TABLE api_keys DROP COLUMN last_used_at;
ALTER TABLE tenants DROP COLUMN deleted_at;

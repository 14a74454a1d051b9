-- Takes the limits of tenants and the uses of keys away, and lets nobody hear of changes.

DROP TRIGGER api_keys_tell_change ON api_keys;
DROP TRIGGER tenants_tell_change ON tenants;
DROP TABLE tenant_limits;
DROP FUNCTION mercurio_tell_change();
ALTER TABLE api_keys DROP COLUMN last_used_at;
ALTER TABLE tenants DROP COLUMN deleted_at;

-- Removes the origins of keys. The keys stay, and work from anywhere.

-- The trigger depends on the column.
DROP TRIGGER api_keys_notify_update;
ALTER TABLE api_keys DROP COLUMN origins;

CREATE TRIGGER api_keys_notify_update AFTER UPDATE OF name, scopes, secret_sha256, expires_at, revoked_at ON api_keys
BEGIN UPDATE catalog_changes SET number = number + 1; END;

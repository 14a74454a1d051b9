-- The origins of web pages that may use a key. Older servers ignore them: such a key works from anywhere there.

-- Separated by commas: https://shop.example,https://*.shop.example. NULL: the key works from anywhere. A page publishes its key, so
-- such a key must not read.
ALTER TABLE api_keys ADD COLUMN origins TEXT
    CONSTRAINT api_keys_origins_not_empty CHECK (origins <> '')
    CONSTRAINT api_keys_origins_write_only CHECK (origins IS NULL OR scopes = 'events:write');

DROP TRIGGER api_keys_notify_update;
-- Not for last_used_at: the server itself writes it.
CREATE TRIGGER api_keys_notify_update AFTER UPDATE OF name, scopes, origins, secret_sha256, expires_at, revoked_at ON api_keys
BEGIN UPDATE catalog_changes SET number = number + 1; END;

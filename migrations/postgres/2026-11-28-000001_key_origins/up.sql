-- The origins of web pages that may use a key. Older servers ignore them: such a key works from anywhere there.

ALTER TABLE api_keys
    -- Separated by commas: https://shop.example,https://*.shop.example. NULL: the key works from anywhere.
    ADD COLUMN origins text,
    ADD CONSTRAINT api_keys_origins_not_empty CHECK (origins <> ''),
    -- A page publishes its key, so such a key must not read.
    ADD CONSTRAINT api_keys_origins_write_only CHECK (origins IS NULL OR scopes = 'events:write');

DROP TRIGGER api_keys_notify_change ON api_keys;
-- Not for last_used_at: the servers themselves write it.
CREATE TRIGGER api_keys_notify_change
    AFTER INSERT OR DELETE OR UPDATE OF name, scopes, origins, secret_sha256, expires_at, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION mercurio_notify_change('key', 'id');

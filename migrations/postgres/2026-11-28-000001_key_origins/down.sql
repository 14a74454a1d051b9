-- Removes the origins of keys. The keys stay, and work from anywhere.

-- The trigger depends on the column.
DROP TRIGGER api_keys_notify_change ON api_keys;
ALTER TABLE api_keys DROP COLUMN origins;

CREATE TRIGGER api_keys_notify_change
    AFTER INSERT OR DELETE OR UPDATE OF name, scopes, secret_sha256, expires_at, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION mercurio_notify_change('key', 'id');

-- What happens to tenants and keys after they were made: they are used, limited, suspended and deleted. Every server hears of
-- a change at once, by NOTIFY.

-- Since when everything of the tenant is being deleted. Its row goes last.
ALTER TABLE tenants ADD COLUMN deleted_at timestamptz;
-- When the key was used last, to the minute.
ALTER TABLE api_keys ADD COLUMN last_used_at timestamptz;

-- The limits that a tenant has in place of the server's, by the names that settings and JSON have too.
CREATE TABLE tenant_limits (
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    name text COLLATE "C" NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (tenant_id, name),
    CONSTRAINT tenant_limits_value_not_negative CHECK (value >= 0)
);

-- Tells on the channel mercurio_catalog what was changed: the kind, a colon, the id. The arguments are the kind and the column
-- that has the id.
CREATE FUNCTION mercurio_tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    PERFORM pg_notify('mercurio_catalog', TG_ARGV[0] || ':' || (changed ->> TG_ARGV[1]));
    RETURN NULL;
END
$$;

CREATE TRIGGER tenants_tell_change AFTER UPDATE OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION mercurio_tell_change('tenant', 'id');
CREATE TRIGGER tenant_limits_tell_change AFTER INSERT OR UPDATE OR DELETE ON tenant_limits
    FOR EACH ROW EXECUTE FUNCTION mercurio_tell_change('tenant', 'tenant_id');
-- Not of last_used_at, which servers write themselves.
CREATE TRIGGER api_keys_tell_change
    AFTER INSERT OR DELETE OR UPDATE OF name, scopes, secret_sha256, expires_at, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION mercurio_tell_change('key', 'id');

-- Takes the second wall away. The role stays, since other databases of the server may use it.

DO $$
BEGIN
    IF to_regrole('mercurio_reader') IS NOT NULL THEN
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM mercurio_reader', current_schema());
        REVOKE ALL ON events, event_keys FROM mercurio_reader;
    END IF;
END
$$;

DROP POLICY one_tenant ON events;
DROP POLICY one_tenant ON event_keys;
DROP POLICY one_tenant ON tenant_usage;
DROP POLICY one_tenant ON tenant_limits;
DROP POLICY one_tenant ON api_keys;
DROP POLICY one_tenant ON workspaces;
DROP POLICY one_tenant ON tenants;

ALTER TABLE events DISABLE ROW LEVEL SECURITY;
ALTER TABLE event_keys DISABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_usage DISABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_limits DISABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys DISABLE ROW LEVEL SECURITY;
ALTER TABLE workspaces DISABLE ROW LEVEL SECURITY;
ALTER TABLE tenants DISABLE ROW LEVEL SECURITY;

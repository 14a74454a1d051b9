-- A second wall between tenants, behind the code: whoever reads as mercurio_reader sees the rows of one tenant, that which its
-- transaction names in mercurio.tenant_id, and no row at all where it names none (docs/adr/0009-row-security-for-readers.md).
--
-- The tables' owner passes it, and roles with BYPASSRLS do: COPY, by which events are written, works for no others.

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_limits ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;

-- A setting that was never made is NULL, one whose transaction is over is an empty text: both are nobody.
CREATE POLICY one_tenant ON tenants
    USING (id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON workspaces
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON api_keys
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON tenant_limits
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON tenant_usage
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON event_keys
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON events
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);

-- Roles belong to all databases of a server: another one may have made it, or be making it. Where this user may not, somebody else
-- does it by hand, and until then readers have the code's wall alone.
DO $$
BEGIN
    IF to_regrole('mercurio_reader') IS NULL THEN
        CREATE ROLE mercurio_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
END
$$;

-- It may read events, and nothing else. It has no rights on partitions: what is asked of them directly passes no policy.
DO $$
BEGIN
    IF to_regrole('mercurio_reader') IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO mercurio_reader', current_schema());
    GRANT SELECT ON events, event_keys TO mercurio_reader;
    IF NOT pg_has_role(current_user, 'mercurio_reader', 'MEMBER') THEN
        EXECUTE format('GRANT mercurio_reader TO %I', current_user);
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN NULL;
END
$$;

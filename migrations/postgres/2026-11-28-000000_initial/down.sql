-- Drops every table, and with them every tenant, key and event. The role mercurio_reader stays, since other databases of the
-- server may use it.

DROP TABLE schema_compatibility;
DROP TABLE audit_log;
DROP TABLE tenant_usage;
DROP TABLE event_counts;
DROP TABLE count_log;
DROP TABLE events;
DROP TABLE event_keys;
DROP TABLE deletions;
DROP TABLE tenant_limits;
DROP TABLE api_keys;
DROP TABLE workspaces;
DROP TABLE tenants;
DROP FUNCTION mercurio_refuse_change();
DROP FUNCTION mercurio_notify_change();

DO $$
BEGIN
    IF to_regrole('mercurio_reader') IS NOT NULL THEN
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM mercurio_reader', current_schema());
    END IF;
END
$$;

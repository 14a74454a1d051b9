-- The first schema: tenants and their keys, events, counts of events, row security, the audit log, compatible versions.

-- 1. Tenants, workspaces and API keys: small tables, read by every request without a cached answer.

CREATE TABLE tenants (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    -- The name in folded case. The service folds it: both databases fold alike. Collation C compares bytes: a change
    -- of the operating system's locale cannot corrupt the index.
    name_key text COLLATE "C" NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    -- Start of the tenant's deletion. Its row is deleted last.
    deleted_at timestamptz,
    CONSTRAINT tenants_name_key_unique UNIQUE (name_key),
    CONSTRAINT tenants_status_known CHECK (status IN ('active', 'suspended'))
);

CREATE TABLE workspaces (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    name text NOT NULL,
    name_key text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    -- Start of the workspace's deletion. Its keys count as revoked since then. Its row is deleted last.
    deleted_at timestamptz,
    CONSTRAINT workspaces_name_key_unique UNIQUE (tenant_id, name_key),
    -- Referenced by api_keys: no key opens a workspace of another tenant.
    CONSTRAINT workspaces_owner_unique UNIQUE (tenant_id, id)
);

CREATE TABLE api_keys (
    -- The public part of the key.
    id text COLLATE "C" PRIMARY KEY,
    tenant_id bigint NOT NULL,
    workspace_id bigint NOT NULL,
    name text NOT NULL,
    -- Separated by commas: events:write,events:read.
    scopes text NOT NULL,
    -- The secret itself is not stored.
    secret_sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    -- Last use, to the minute.
    last_used_at timestamptz,
    CONSTRAINT api_keys_owner FOREIGN KEY (tenant_id, workspace_id) REFERENCES workspaces (tenant_id, id),
    CONSTRAINT api_keys_secret_length CHECK (octet_length(secret_sha256) = 32)
);

CREATE INDEX api_keys_by_owner ON api_keys (tenant_id, workspace_id);

-- A tenant's own limits, which replace the server's. The names are those of settings and JSON.
CREATE TABLE tenant_limits (
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    name text COLLATE "C" NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (tenant_id, name),
    CONSTRAINT tenant_limits_value_not_negative CHECK (value >= 0)
);

-- Rows removed so far by the deletion of a tenant or workspace. Counted step by step, so that the receipt is complete even
-- if the deletion was interrupted and repeated.
CREATE TABLE deletions (
    tenant_id bigint NOT NULL,
    -- 0: the whole tenant. The ids of workspaces begin at 1.
    workspace_id bigint NOT NULL,
    events bigint NOT NULL,
    event_keys bigint NOT NULL,
    PRIMARY KEY (tenant_id, workspace_id),
    CONSTRAINT deletions_not_negative CHECK (events >= 0 AND event_keys >= 0)
);

-- Notifies every server of a change on the channel mercurio_catalog: the kind, a colon, the id. The arguments are the kind and
-- the column of the id.
CREATE FUNCTION mercurio_notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    PERFORM pg_notify('mercurio_catalog', TG_ARGV[0] || ':' || (changed ->> TG_ARGV[1]));
    RETURN NULL;
END
$$;

CREATE TRIGGER tenants_notify_change AFTER UPDATE OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION mercurio_notify_change('tenant', 'id');
-- A rename changes nothing for servers.
CREATE TRIGGER workspaces_notify_change AFTER UPDATE OF deleted_at ON workspaces
    FOR EACH ROW EXECUTE FUNCTION mercurio_notify_change('tenant', 'tenant_id');
CREATE TRIGGER tenant_limits_notify_change AFTER INSERT OR UPDATE OR DELETE ON tenant_limits
    FOR EACH ROW EXECUTE FUNCTION mercurio_notify_change('tenant', 'tenant_id');
-- Not for last_used_at: the servers themselves write it.
CREATE TRIGGER api_keys_notify_change
    AFTER INSERT OR DELETE OR UPDATE OF name, scopes, secret_sha256, expires_at, revoked_at ON api_keys
    FOR EACH ROW EXECUTE FUNCTION mercurio_notify_change('key', 'id');

-- 2. Events, in two tables. event_keys is narrow, and its primary key decides whether an event is new. events is wide, has no
-- unique index, and is partitioned by day of receipt: old events are removed by dropping a table. A writer inserts into both in
-- one transaction.
--
-- Neither table has foreign keys to tenants or workspaces: each row would pay for a lookup and a lock on the tenant's row. The
-- service writes only for the workspace of a valid key.

CREATE TABLE event_keys (
    tenant_id bigint NOT NULL,
    -- The event's id in 16 bytes: a UUID itself, or a hash of any other text.
    key uuid NOT NULL,
    workspace_id bigint NOT NULL,
    -- The two times locate the event: its partition, and its position in the partition's index.
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);

-- Partitions are named events_YYYYMMDD, one per day in UTC. The service creates them, some days ahead. There is no DEFAULT
-- partition: its rows would prevent the creation of the right one.
CREATE TABLE events (
    tenant_id bigint NOT NULL,
    workspace_id bigint NOT NULL,
    key uuid NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    event_name text NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    -- The time as sent by the client, if its clock was corrected.
    sent_timestamp timestamptz,
    anonymous_id text,
    user_id text,
    session_id text,
    schema_version text NOT NULL,
    -- json, not jsonb: kept byte for byte as sent, and cheaper to store.
    properties json,
    traits json,
    context json,
    enrichment json NOT NULL
) PARTITION BY RANGE (received_at);

-- The order in which events are read. Each partition gets its own index.
CREATE INDEX events_by_time ON events (tenant_id, workspace_id, occurred_at);

-- 3. Counts of stored events. A group's transaction inserts a row into count_log with its events. Once a second, one server
-- sums the log into event_counts and tenant_usage and deletes the summed rows (docs/adr/0014-counts-in-a-log.md).

CREATE TABLE count_log (
    -- Start of the hour of receipt, in UTC. A group whose events were received in two hours has two rows.
    hour timestamptz NOT NULL,
    -- Four arrays of one length. Each position counts the events of a workspace with one name.
    tenant_ids bigint[] NOT NULL,
    workspace_ids bigint[] NOT NULL,
    event_names text[] COLLATE "C" NOT NULL,
    counts bigint[] NOT NULL
) WITH (
    -- The table is filled and emptied every second. Vacuuming it whenever possible keeps it small. Truncating it would stop
    -- writers.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 100, toast.autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = false, toast.vacuum_truncate = false
);
-- The table has no key. A publication of all tables would otherwise refuse deletions.
ALTER TABLE count_log REPLICA IDENTITY FULL;

-- Summed counts by hour of receipt. Erasing a person and retention do not lower them.
CREATE TABLE event_counts (
    tenant_id bigint NOT NULL,
    workspace_id bigint NOT NULL,
    event_name text COLLATE "C" NOT NULL,
    -- Start of the hour, in UTC.
    hour timestamptz NOT NULL,
    accepted bigint NOT NULL,
    PRIMARY KEY (tenant_id, workspace_id, event_name, hour),
    CONSTRAINT event_counts_positive CHECK (accepted > 0)
    -- Room for new versions of rows: each is updated every second for an hour.
) WITH (fillfactor = 70);

-- Summed counts by month of receipt, in UTC. Monthly quotas limit them.
CREATE TABLE tenant_usage (
    tenant_id bigint NOT NULL,
    -- Year and month: 202611.
    month bigint NOT NULL,
    used bigint NOT NULL,
    PRIMARY KEY (tenant_id, month),
    CONSTRAINT tenant_usage_positive CHECK (used > 0)
) WITH (fillfactor = 50);

-- 4. Row security, behind the conditions in the code: a transaction of mercurio_reader sees only the rows of the tenant named
-- by its setting mercurio.tenant_id (docs/adr/0009-row-security-for-readers.md).
--
-- The tables' owner and roles with BYPASSRLS are exempt. Writers must be among them: COPY works for nobody else.

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_limits ENABLE ROW LEVEL SECURITY;
ALTER TABLE deletions ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_usage ENABLE ROW LEVEL SECURITY;
-- Its rows belong to several tenants each, so it has no policy: nobody under row security reads it.
ALTER TABLE count_log ENABLE ROW LEVEL SECURITY;

-- Without the setting, the value is NULL; after the end of the transaction with it, an empty text. Both match no tenant.
CREATE POLICY one_tenant ON tenants
    USING (id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON workspaces
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON api_keys
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON tenant_limits
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON deletions
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON event_keys
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON events
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON event_counts
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON tenant_usage
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);

-- Roles belong to all databases of a server: another database may have created this one, or be creating it now. Without the
-- right to create roles, an administrator does it by hand; until then only the conditions in the code separate tenants.
DO $$
BEGIN
    IF to_regrole('mercurio_reader') IS NULL THEN
        CREATE ROLE mercurio_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
END
$$;

-- The role may read only events. It has no rights on partitions: a query of a partition itself passes no policy.
DO $$
BEGIN
    IF to_regrole('mercurio_reader') IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO mercurio_reader', current_schema());
    GRANT SELECT ON events, event_keys TO mercurio_reader;
    -- Since PostgreSQL 16, whoever creates a role is a member who may grant it, but may not switch to it.
    IF NOT pg_has_role(
        current_user, 'mercurio_reader', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END
    ) THEN
        EXECUTE format('GRANT mercurio_reader TO %I', current_user);
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN NULL;
END
$$;

-- 5. The audit log: what admins did. Rows are added in the transaction of the change, and kept for ever.

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Not the start of the transaction, which may have waited for a lock.
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- User and machine as mercurio-admin sees them: alice@db1.
    actor text NOT NULL,
    -- The role the database authenticated.
    database_role text DEFAULT session_user,
    -- Words of the command: tenant suspend.
    command text NOT NULL,
    -- No foreign keys: the log outlives tenants.
    tenant_id bigint,
    workspace_id bigint,
    api_key_id text,
    -- Names and values, without secrets.
    detail text NOT NULL,
    outcome text NOT NULL,
    CONSTRAINT audit_log_outcome_known CHECK (outcome IN ('started', 'done', 'failed'))
);

CREATE FUNCTION mercurio_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;

-- Stops mistakes. The tables' owner can drop the trigger; other roles get no right to change rows (docs/OPERATIONS.md).
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION mercurio_refuse_change();

-- No policy: nobody under row security reads it.
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;

-- 6. Compatible versions: servers of the previous release keep running over the next one's migrations
-- (docs/adr/0010-older-servers-over-a-newer-schema.md).
--
-- A migration leaves this table alone if older programs can share its schema. Otherwise it sets minimum_version to its own
-- version in up.sql, and back to the previous one in down.sql.

CREATE TABLE schema_compatibility (
    -- There is one row.
    id bigint PRIMARY KEY,
    -- Version of a migration. A program must not run if its newest migration is older.
    minimum_version text COLLATE "C" NOT NULL,
    CONSTRAINT schema_compatibility_one_row CHECK (id = 1),
    CONSTRAINT schema_compatibility_version CHECK (minimum_version ~ '^[0-9]{14}$')
);

INSERT INTO schema_compatibility (id, minimum_version) VALUES (1, '20261128000000');

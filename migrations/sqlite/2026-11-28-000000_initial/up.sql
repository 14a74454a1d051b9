-- The first schema: tenants and their keys, events, counts of events, the audit log, and the compatible versions. Times are whole
-- microseconds since 1970-01-01T00:00:00Z.
--
-- SQLite has neither roles nor row security: anyone who can open the file reads all of it.

-- 1. Tenants, workspaces and API keys: small tables, read by every request without a cached answer.

CREATE TABLE tenants (
    -- AUTOINCREMENT: the id of a deleted tenant is never given to another.
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name TEXT NOT NULL,
    -- The name in folded case. The service folds it: both databases fold alike.
    name_key TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- Start of the tenant's deletion. Its row is deleted last.
    deleted_at INTEGER,
    CONSTRAINT tenants_name_key_unique UNIQUE (name_key),
    CONSTRAINT tenants_status_known CHECK (status IN ('active', 'suspended'))
) STRICT;

CREATE TABLE workspaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- Start of the workspace's deletion. Its keys count as revoked since then. Its row is deleted last.
    deleted_at INTEGER,
    CONSTRAINT workspaces_name_key_unique UNIQUE (tenant_id, name_key),
    -- Referenced by api_keys: no key opens a workspace of another tenant.
    CONSTRAINT workspaces_owner_unique UNIQUE (tenant_id, id)
) STRICT;

CREATE TABLE api_keys (
    -- The public part of the key.
    id TEXT PRIMARY KEY NOT NULL,
    tenant_id INTEGER NOT NULL,
    workspace_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    -- Separated by commas: events:write,events:read.
    scopes TEXT NOT NULL,
    -- The secret itself is not stored.
    secret_sha256 BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    -- Last use, to the minute.
    last_used_at INTEGER,
    CONSTRAINT api_keys_owner FOREIGN KEY (tenant_id, workspace_id) REFERENCES workspaces (tenant_id, id),
    CONSTRAINT api_keys_secret_length CHECK (length(secret_sha256) = 32)
) STRICT;

CREATE INDEX api_keys_by_owner ON api_keys (tenant_id, workspace_id);

-- A tenant's own limits, which replace the server's. The names are those of settings and JSON.
CREATE TABLE tenant_limits (
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name),
    CONSTRAINT tenant_limits_value_not_negative CHECK (value >= 0)
) STRICT;

-- Rows removed so far by the deletion of a tenant or workspace. Counted step by step, so that the receipt is complete even
-- if the deletion was interrupted and repeated.
CREATE TABLE deletions (
    tenant_id INTEGER NOT NULL,
    -- 0: the whole tenant. The ids of workspaces begin at 1.
    workspace_id INTEGER NOT NULL,
    events INTEGER NOT NULL,
    event_keys INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, workspace_id),
    CONSTRAINT deletions_not_negative CHECK (events >= 0 AND event_keys >= 0)
) STRICT;

-- One row. Every change of the tables above raises its number, and the server polls it: SQLite has no NOTIFY.
CREATE TABLE catalog_changes (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;
INSERT INTO catalog_changes (id, number) VALUES (1, 0);

CREATE TRIGGER tenants_notify_update AFTER UPDATE ON tenants
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER tenants_notify_delete AFTER DELETE ON tenants
BEGIN UPDATE catalog_changes SET number = number + 1; END;
-- A rename changes nothing for servers.
CREATE TRIGGER workspaces_notify_update AFTER UPDATE OF deleted_at ON workspaces
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER tenant_limits_notify_insert AFTER INSERT ON tenant_limits
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER tenant_limits_notify_update AFTER UPDATE ON tenant_limits
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER tenant_limits_notify_delete AFTER DELETE ON tenant_limits
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER api_keys_notify_insert AFTER INSERT ON api_keys
BEGIN UPDATE catalog_changes SET number = number + 1; END;
-- Not for last_used_at: the server itself writes it.
CREATE TRIGGER api_keys_notify_update AFTER UPDATE OF name, scopes, secret_sha256, expires_at, revoked_at ON api_keys
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER api_keys_notify_delete AFTER DELETE ON api_keys
BEGIN UPDATE catalog_changes SET number = number + 1; END;

-- 2. Events, in one table. PostgreSQL keeps the keys in a table of their own, because it partitions events by day. SQLite has no
-- partitions, and one table was faster (docs/adr/0002-keys-first-tables.md).

CREATE TABLE events (
    row_id INTEGER PRIMARY KEY NOT NULL,
    tenant_id INTEGER NOT NULL,
    workspace_id INTEGER NOT NULL,
    -- The event's id in 16 bytes: a UUID itself, or a hash of any other text. Compared byte by byte, as PostgreSQL compares
    -- uuid.
    key BLOB NOT NULL,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    event_name TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    -- The time as sent by the client, if its clock was corrected.
    sent_timestamp INTEGER,
    anonymous_id TEXT,
    user_id TEXT,
    session_id TEXT,
    schema_version TEXT NOT NULL,
    -- JSON, kept byte for byte as sent.
    properties TEXT,
    traits TEXT,
    context TEXT,
    enrichment TEXT NOT NULL,
    -- Time of erasure. Only the key is left then: the event stays a duplicate.
    removed_at INTEGER,
    -- Decides whether an event is new.
    UNIQUE (tenant_id, key)
) STRICT;

-- The order in which events are read.
CREATE INDEX events_by_time ON events (tenant_id, workspace_id, occurred_at);

-- 3. Counts of stored events, updated in the transaction of the events. PostgreSQL has a log in front of these tables, because
-- its writers would wait for each other. SQLite has one writer.

-- Counts by hour of receipt. Erasing a person and retention do not lower them.
CREATE TABLE event_counts (
    tenant_id INTEGER NOT NULL,
    workspace_id INTEGER NOT NULL,
    event_name TEXT NOT NULL,
    -- Start of the hour, in UTC.
    hour INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, workspace_id, event_name, hour),
    CONSTRAINT event_counts_positive CHECK (accepted > 0)
) STRICT;

-- Counts by month of receipt, in UTC. Monthly quotas limit them.
CREATE TABLE tenant_usage (
    tenant_id INTEGER NOT NULL,
    -- Year and month: 202611.
    month INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, month),
    CONSTRAINT tenant_usage_positive CHECK (used > 0)
) STRICT;

-- 4. The audit log: what admins did. Rows are added in the transaction of the change, and kept for ever.

CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    recorded_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    -- User and machine as mercurio-admin sees them: alice@db1.
    actor TEXT NOT NULL,
    -- SQLite has no roles.
    database_role TEXT,
    -- Words of the command: tenant suspend.
    command TEXT NOT NULL,
    -- No foreign keys: the log outlives tenants.
    tenant_id INTEGER,
    workspace_id INTEGER,
    api_key_id TEXT,
    -- Names and values, without secrets.
    detail TEXT NOT NULL,
    outcome TEXT NOT NULL,
    CONSTRAINT audit_log_outcome_known CHECK (outcome IN ('started', 'done', 'failed'))
) STRICT;

-- They stop mistakes. Whoever can write the file can drop them.
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;

-- 5. Compatible versions: the previous release can open the file again after the next one
-- (docs/adr/0010-older-servers-over-a-newer-schema.md).
--
-- A migration leaves this table alone if older programs can share its schema. Otherwise it sets minimum_version to its own
-- version in up.sql, and back to the previous one in down.sql.

CREATE TABLE schema_compatibility (
    -- There is one row.
    id INTEGER NOT NULL PRIMARY KEY,
    -- Version of a migration. A program must not run if its newest migration is older.
    minimum_version TEXT NOT NULL,
    CONSTRAINT schema_compatibility_one_row CHECK (id = 1),
    CONSTRAINT schema_compatibility_version CHECK (length(minimum_version) = 14 AND minimum_version NOT GLOB '*[^0-9]*')
) STRICT;

INSERT INTO schema_compatibility (id, minimum_version) VALUES (1, '20261128000000');

-- The catalogue: tenants, their workspaces, and the keys that open them. Small, and read on every request that no cache
-- answers. Times are whole microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE tenants (
    -- AUTOINCREMENT: the id of a tenant that is gone is never given to another.
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name TEXT NOT NULL,
    -- The name as names are compared, folded by the service and not by SQL, so that both databases fold alike.
    name_key TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT tenants_name_key_unique UNIQUE (name_key),
    CONSTRAINT tenants_status_known CHECK (status IN ('active', 'suspended'))
) STRICT;

CREATE TABLE workspaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT workspaces_name_key_unique UNIQUE (tenant_id, name_key),
    -- What api_keys refers to, so that no key can open a workspace of another tenant.
    CONSTRAINT workspaces_owner_unique UNIQUE (tenant_id, id)
) STRICT;

CREATE TABLE api_keys (
    -- The public part of the key.
    id TEXT PRIMARY KEY NOT NULL,
    tenant_id INTEGER NOT NULL,
    workspace_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    -- Divided by commas, such as events:write,events:read.
    scopes TEXT NOT NULL,
    -- The secret itself is stored nowhere.
    secret_sha256 BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    CONSTRAINT api_keys_owner FOREIGN KEY (tenant_id, workspace_id) REFERENCES workspaces (tenant_id, id),
    CONSTRAINT api_keys_secret_length CHECK (length(secret_sha256) = 32)
) STRICT;

CREATE INDEX api_keys_by_owner ON api_keys (tenant_id, workspace_id);

-- The catalogue: tenants, their workspaces, and the keys that open them. Small, and read on every request that no cache
-- answers.

CREATE TABLE tenants (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    -- The name as names are compared, folded by the service and not by SQL, so that both databases fold alike. Collation C
    -- compares bytes: the order of names is nobody's business here, and no change of the system's locale can break the index.
    name_key text COLLATE "C" NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT tenants_name_key_unique UNIQUE (name_key),
    CONSTRAINT tenants_status_known CHECK (status IN ('active', 'suspended'))
);

CREATE TABLE workspaces (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES tenants (id),
    name text NOT NULL,
    name_key text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT workspaces_name_key_unique UNIQUE (tenant_id, name_key),
    -- What api_keys refers to, so that no key can open a workspace of another tenant.
    CONSTRAINT workspaces_owner_unique UNIQUE (tenant_id, id)
);

CREATE TABLE api_keys (
    -- The public part of the key.
    id text COLLATE "C" PRIMARY KEY,
    tenant_id bigint NOT NULL,
    workspace_id bigint NOT NULL,
    name text NOT NULL,
    -- Divided by commas, such as events:write,events:read.
    scopes text NOT NULL,
    -- The secret itself is stored nowhere.
    secret_sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT api_keys_owner FOREIGN KEY (tenant_id, workspace_id) REFERENCES workspaces (tenant_id, id),
    CONSTRAINT api_keys_secret_length CHECK (octet_length(secret_sha256) = 32)
);

CREATE INDEX api_keys_by_owner ON api_keys (tenant_id, workspace_id);

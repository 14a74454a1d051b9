-- What happens to tenants and keys after they were made: they are used, limited, suspended and deleted. The server learns of a
-- change by a number that every change raises: SQLite has no NOTIFY.

-- Since when everything of the tenant is being deleted. Its row goes last.
ALTER TABLE tenants ADD COLUMN deleted_at INTEGER;
-- When the key was used last, to the minute.
ALTER TABLE api_keys ADD COLUMN last_used_at INTEGER;

-- Since when the event is gone and only its key is left, so that it stays a duplicate.
ALTER TABLE events ADD COLUMN removed_at INTEGER;

-- The limits that a tenant has in place of the server's, by the names that settings and JSON have too.
CREATE TABLE tenant_limits (
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name),
    CONSTRAINT tenant_limits_value_not_negative CHECK (value >= 0)
) STRICT;

-- One row, whose number rises with every change of the catalogue.
CREATE TABLE catalog_changes (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;
INSERT INTO catalog_changes (id, number) VALUES (1, 0);

CREATE TRIGGER tenants_tell_update AFTER UPDATE ON tenants
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER tenants_tell_delete AFTER DELETE ON tenants
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER tenant_limits_tell_insert AFTER INSERT ON tenant_limits
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER tenant_limits_tell_update AFTER UPDATE ON tenant_limits
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER tenant_limits_tell_delete AFTER DELETE ON tenant_limits
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER api_keys_tell_insert AFTER INSERT ON api_keys
BEGIN UPDATE catalog_changes SET number = number + 1; END;
-- Not of last_used_at, which the server writes itself.
CREATE TRIGGER api_keys_tell_update AFTER UPDATE OF name, scopes, secret_sha256, expires_at, revoked_at ON api_keys
BEGIN UPDATE catalog_changes SET number = number + 1; END;
CREATE TRIGGER api_keys_tell_delete AFTER DELETE ON api_keys
BEGIN UPDATE catalog_changes SET number = number + 1; END;

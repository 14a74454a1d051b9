-- Drops every table, and with them every tenant, key and event.

DROP TABLE schema_compatibility;
DROP TABLE audit_log;
DROP TABLE tenant_usage;
DROP TABLE event_counts;
DROP TABLE events;
DROP TABLE catalog_changes;
DROP TABLE deletions;
DROP TABLE tenant_limits;
DROP TABLE api_keys;
DROP TABLE workspaces;
DROP TABLE tenants;

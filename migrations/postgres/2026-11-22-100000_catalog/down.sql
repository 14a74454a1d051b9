-- Takes every tenant, workspace and key away.

DROP TABLE api_keys;
DROP TABLE workspaces;
DROP TABLE tenants;

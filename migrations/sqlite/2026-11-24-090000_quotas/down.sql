-- Forgets what was counted. A quota then begins with the events that are stored.

DROP TABLE tenant_usage;

-- From here on every program refuses a schema with a migration that it does not know.

DROP TABLE schema_compatibility;

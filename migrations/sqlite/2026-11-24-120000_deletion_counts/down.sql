-- The receipt of a deletion then tells of what was removed since it was last begun.

DROP TABLE tenant_deletions;

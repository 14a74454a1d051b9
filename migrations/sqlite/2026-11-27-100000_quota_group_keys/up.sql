-- SQLite's one writer counts in one row for a tenant and month, and needs no group's key.

SELECT 1;

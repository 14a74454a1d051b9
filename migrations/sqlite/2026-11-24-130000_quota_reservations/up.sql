-- SQLite has one writer, which updates one row for a tenant and month: there is nobody to reserve for.

SELECT 1;

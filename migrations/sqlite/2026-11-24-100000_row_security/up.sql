-- SQLite has neither roles nor policies: whoever can open the file reads all of it, and the code is the only wall.

SELECT 1;

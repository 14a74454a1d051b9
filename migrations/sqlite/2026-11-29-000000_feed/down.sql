DROP TABLE feed_consumers;
DROP INDEX events_by_workspace;
DROP TABLE feed_eras;

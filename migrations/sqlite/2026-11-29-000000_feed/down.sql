-- Drops the feed and the cursors of its consumers. Events stay.

DROP TABLE feed_consumers;
DROP INDEX events_by_workspace;
DROP TABLE feed_eras;

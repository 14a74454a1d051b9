-- Drops the feed and the cursors of its consumers. Events stay.

DROP TABLE feed_consumers;
DROP INDEX event_keys_by_position;
ALTER TABLE event_keys DROP COLUMN position;
DROP FUNCTION mercurio_position();
DROP FUNCTION mercurio_begin_era();
DROP FUNCTION mercurio_has_era();
DROP TABLE feed_eras;

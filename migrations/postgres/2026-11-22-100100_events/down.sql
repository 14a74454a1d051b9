-- Takes every event away. The partitions go with their table.

DROP TABLE events;
DROP TABLE event_keys;

-- Takes every event away.

DROP TABLE events;

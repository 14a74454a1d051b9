-- Events, in one table. PostgreSQL keeps the keys in a table of their own, because it cuts the events by days; SQLite has no
-- partitions, and was faster this way (docs/adr/0002-keys-first-tables.md).

CREATE TABLE events (
    row_id INTEGER PRIMARY KEY NOT NULL,
    tenant_id INTEGER NOT NULL,
    workspace_id INTEGER NOT NULL,
    -- The event's id in 16 bytes: the UUID that it is, or a hash of the text that it is. Compared byte by byte, as
    -- PostgreSQL compares uuid.
    key BLOB NOT NULL,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    event_name TEXT NOT NULL,
    occurred_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    -- The time as the client sent it, where its clock was corrected.
    sent_timestamp INTEGER,
    anonymous_id TEXT,
    user_id TEXT,
    session_id TEXT,
    schema_version TEXT NOT NULL,
    -- JSON, kept byte for byte as sent.
    properties TEXT,
    traits TEXT,
    context TEXT,
    enrichment TEXT NOT NULL,
    -- Decides whether an event is new.
    UNIQUE (tenant_id, key)
) STRICT;

-- The order in which events are read.
CREATE INDEX events_by_time ON events (tenant_id, workspace_id, occurred_at);

-- Rejected events, kept for some days, and counts of all of them (docs/rejections.md).

CREATE TABLE rejections (
    -- A UUIDv7 by the server.
    id BLOB NOT NULL,
    tenant_id INTEGER NOT NULL,
    workspace_id INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    event_id TEXT,
    event_name TEXT,
    -- The person, if one could be read.
    user_id TEXT,
    anonymous_id TEXT,
    -- The codes of the errors, each once, in commas: ,required,too_long,
    codes TEXT NOT NULL,
    -- JSON: an array of objects with pointer, code and message.
    errors TEXT NOT NULL,
    -- As sent. It may be cut.
    event TEXT NOT NULL,
    -- 0 or 1.
    is_cut INT NOT NULL,
    request_id TEXT NOT NULL,
    api_key_id TEXT NOT NULL,
    protocol TEXT NOT NULL,
    sdk TEXT,
    user_agent TEXT,
    -- Finds the examples of counts. PostgreSQL needs the time, for its partitions.
    PRIMARY KEY (id, received_at)
) STRICT;

-- The order in which rejections are read.
CREATE INDEX rejections_by_time ON rejections (tenant_id, workspace_id, received_at);
-- Finds expired rejections.
CREATE INDEX rejections_by_age ON rejections (received_at);

-- Counts by hour of receipt. They include rejections that were not kept.
CREATE TABLE rejection_counts (
    tenant_id INTEGER NOT NULL,
    workspace_id INTEGER NOT NULL,
    -- event: rejected events. error: those with one error. request: requests refused before their events were read.
    kind TEXT NOT NULL,
    -- The code of the error or problem; empty for rejected events.
    code TEXT NOT NULL,
    -- JSON pointer within the event.
    pointer TEXT NOT NULL,
    -- Empty if the event has none.
    event_name TEXT NOT NULL,
    -- Start of the hour, in UTC.
    hour INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    -- The id of a kept rejection. It may be gone.
    example BLOB,
    PRIMARY KEY (tenant_id, workspace_id, kind, code, pointer, event_name, hour),
    CONSTRAINT rejection_counts_kind_known CHECK (kind IN ('event', 'error', 'request')),
    CONSTRAINT rejection_counts_positive CHECK (rejected > 0)
) STRICT;

-- Finds expired counts.
CREATE INDEX rejection_counts_by_hour ON rejection_counts (hour);

-- The receipt of a deletion includes rejections. The previous release leaves the column out.
ALTER TABLE deletions ADD COLUMN rejections INTEGER NOT NULL DEFAULT 0
    CONSTRAINT deletions_rejections_not_negative CHECK (rejections >= 0);

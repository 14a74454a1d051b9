-- The feed: every stored event of a workspace once, in the order of commits (docs/adr/0017-feed-by-transaction.md).

-- A row id is the position of its event: 15 bits of the era, then 48 of a number that is never given again. An era begins when a
-- process has opened the file and stores its first events, so that a restored copy of the file goes on with other positions.
CREATE TABLE feed_eras (
    era INTEGER PRIMARY KEY NOT NULL,
    -- A random number. It distinguishes a cursor of this file from one of a copy that went on by itself.
    token INTEGER NOT NULL,
    -- The last number given.
    last_number INTEGER NOT NULL,
    CONSTRAINT feed_eras_era_in_range CHECK (era BETWEEN 1 AND 32767),
    CONSTRAINT feed_eras_token_in_range CHECK (token BETWEEN 0 AND 4294967295)
) STRICT;

-- Events stored before this migration keep their row ids, which are lower.
INSERT INTO feed_eras (era, token, last_number)
    SELECT 1, random() & 4294967295, coalesce(max(row_id), 0) FROM events;

-- Ends in the row id, like every index.
CREATE INDEX events_by_workspace ON events (workspace_id);

-- The cursors of named consumers, such as mercurio-admin events forward.
CREATE TABLE feed_consumers (
    tenant_id INTEGER NOT NULL,
    workspace_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    cursor TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, workspace_id, name),
    CONSTRAINT feed_consumers_owner FOREIGN KEY (tenant_id, workspace_id) REFERENCES workspaces (tenant_id, id)
) STRICT;

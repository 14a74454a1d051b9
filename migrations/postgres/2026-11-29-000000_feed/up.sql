-- The feed: every stored event of a workspace once, in the order of commits (docs/adr/0017-feed-by-transaction.md).

-- Ids of transactions repeat after some failures and restores, so a position has two parts. An era begins when the database
-- server has started: all positions of an era are greater than those of the eras before.
CREATE TABLE feed_eras (
    era bigint PRIMARY KEY,
    -- A random number. It tells a cursor of this database from one of a copy that went on by itself.
    token bigint NOT NULL,
    -- The start of the database server, as pg_postmaster_start_time() returns it.
    server_started_at timestamptz NOT NULL,
    CONSTRAINT feed_eras_era_in_range CHECK (era BETWEEN 1 AND 32767),
    CONSTRAINT feed_eras_token_in_range CHECK (token BETWEEN 0 AND 4294967295)
);
ALTER TABLE feed_eras REPLICA IDENTITY FULL;

-- Returns the position of the events that the current transaction stores: 15 bits of its era, then 48 of its id. Call it before
-- the transaction locks a key: the first transaction of an era makes the others wait.
CREATE FUNCTION mercurio_position() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    newest feed_eras%ROWTYPE;
BEGIN
    SELECT * INTO newest FROM feed_eras ORDER BY era DESC LIMIT 1;
    IF newest.server_started_at IS DISTINCT FROM pg_postmaster_start_time() THEN
        -- mercfeed in ASCII.
        PERFORM pg_advisory_xact_lock(x'6d65726366656564'::bigint);
        -- Another transaction may have begun the era while this one waited.
        SELECT * INTO newest FROM feed_eras ORDER BY era DESC LIMIT 1;
        IF newest.server_started_at IS DISTINCT FROM pg_postmaster_start_time() THEN
            INSERT INTO feed_eras (era, token, server_started_at)
            VALUES (coalesce(newest.era, 0) + 1, floor(random() * 4294967296)::bigint, pg_postmaster_start_time())
            RETURNING * INTO newest;
        END IF;
    END IF;
    RETURN (newest.era << 48) | pg_current_xact_id()::text::bigint;
END
$$;

-- Events stored before this migration have the position 0: they come first in the feed, by key.
ALTER TABLE event_keys ADD COLUMN position bigint NOT NULL DEFAULT 0;
-- For servers of the previous release, which do not know the column.
ALTER TABLE event_keys ALTER COLUMN position SET DEFAULT mercurio_position();

-- Without the tenant, to keep it small: a workspace belongs to one.
CREATE INDEX event_keys_by_position ON event_keys (workspace_id, position);

-- The cursors of named consumers, such as mercurio-admin events forward.
CREATE TABLE feed_consumers (
    tenant_id bigint NOT NULL,
    workspace_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    cursor text NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, workspace_id, name),
    CONSTRAINT feed_consumers_owner FOREIGN KEY (tenant_id, workspace_id) REFERENCES workspaces (tenant_id, id)
);

ALTER TABLE feed_consumers ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON feed_consumers
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);

-- Eras belong to no tenant. Readers compare cursors with them.
DO $$
BEGIN
    IF to_regrole('mercurio_reader') IS NOT NULL THEN
        GRANT SELECT ON feed_eras TO mercurio_reader;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN NULL;
END
$$;

-- The feed: every stored event of a workspace once, in the order of commits (docs/adr/0017-feed-by-transaction.md).

-- Ids of transactions repeat after some failures and restores, so a position has two parts. An era begins when the database
-- server has started: all positions of an era are greater than those of the eras before.
CREATE TABLE feed_eras (
    era bigint PRIMARY KEY,
    -- A random number. It distinguishes a cursor of this database from one of a copy that went on by itself.
    token bigint NOT NULL,
    -- The start of the database server, as pg_postmaster_start_time() returns it.
    server_started_at timestamptz NOT NULL,
    -- The database, and the transaction that inserted this row. They reveal a copied or restored table.
    database_id bigint NOT NULL,
    transaction_id bigint NOT NULL,
    CONSTRAINT feed_eras_era_in_range CHECK (era BETWEEN 1 AND 32767),
    CONSTRAINT feed_eras_token_in_range CHECK (token BETWEEN 0 AND 4294967295)
);
ALTER TABLE feed_eras REPLICA IDENTITY FULL;

-- Whether the newest era is of this start of the database server, and of this table: xmin is the low half of the id of the transaction
-- that inserted a row.
CREATE FUNCTION mercurio_has_era() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT server_started_at = pg_postmaster_start_time()
            AND database_id = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
            AND xmin::text::bigint = transaction_id & 4294967295
        FROM feed_eras ORDER BY era DESC LIMIT 1), false)
$$;

-- Begins an era if this one is not of this start of the database server. A server calls it for each new connection that writes, so
-- that no transaction with events has to.
CREATE FUNCTION mercurio_begin_era() RETURNS void LANGUAGE plpgsql
    -- The roles of servers may begin an era, but not change one.
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF pg_is_in_recovery() OR mercurio_has_era() THEN
        RETURN;
    END IF;
    -- mercfeed in ASCII. Taken before the next statement, whose snapshot then shows an era begun by another connection.
    PERFORM pg_advisory_xact_lock(x'6d65726366656564'::bigint);
    IF NOT mercurio_has_era() THEN
        INSERT INTO feed_eras (era, token, server_started_at, database_id, transaction_id)
        SELECT coalesce(max(era), 0) + 1, floor(random() * 4294967296)::bigint, pg_postmaster_start_time(),
            (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()), pg_current_xact_id()::text::bigint
        FROM feed_eras;
    END IF;
END
$$;

-- Returns the position of the events that the current transaction stores: 15 bits of its era, then 48 of its id. Call it before
-- the transaction locks a key: it may have to begin an era.
CREATE FUNCTION mercurio_position() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    newest feed_eras%ROWTYPE;
BEGIN
    SELECT * INTO newest FROM feed_eras ORDER BY era DESC LIMIT 1;
    IF newest.server_started_at IS DISTINCT FROM pg_postmaster_start_time() THEN
        PERFORM mercurio_begin_era();
        SELECT * INTO newest FROM feed_eras ORDER BY era DESC LIMIT 1;
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

-- Eras belong to no tenant. Readers compare cursors with them, whether their role exists already or not.
GRANT SELECT ON feed_eras TO PUBLIC;

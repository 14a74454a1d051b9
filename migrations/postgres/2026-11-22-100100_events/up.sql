-- Events, in two tables. `event_keys` is narrow and decides by its primary key whether an event is new; `events` is wide,
-- has no unique index and is cut by days of receipt, so that old events go by dropping a table. A writer claims keys first
-- and copies the events of the keys that it got, in one transaction.
--
-- Neither table refers to tenants or workspaces by a foreign key: each row would pay for a look-up and a lock on the
-- tenant's row, and the service writes only for workspaces that a key has opened.

CREATE TABLE event_keys (
    tenant_id bigint NOT NULL,
    -- The event's id in 16 bytes: the UUID that it is, or a hash of the text that it is.
    key uuid NOT NULL,
    workspace_id bigint NOT NULL,
    -- The two times lead from a key to its event: to the partition, and to the place in the partition's index.
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);

CREATE TABLE events (
    tenant_id bigint NOT NULL,
    workspace_id bigint NOT NULL,
    key uuid NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    event_name text NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    -- The time as the client sent it, where its clock was corrected.
    sent_timestamp timestamptz,
    anonymous_id text,
    user_id text,
    session_id text,
    schema_version text NOT NULL,
    -- json and not jsonb: kept byte for byte as sent, and cheaper to store.
    properties json,
    traits json,
    context json,
    enrichment json NOT NULL
) PARTITION BY RANGE (received_at);

-- The order in which events are read. Each partition gets its own.
CREATE INDEX events_by_time ON events (tenant_id, workspace_id, occurred_at);

-- The partitions are called events_YYYYMMDD, one per day in UTC. The service makes them, some days ahead. There is no
-- DEFAULT partition: rows in one would stand in the way of the partition that they belong to.

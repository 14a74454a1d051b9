-- Rejected events, kept for some days, and counts of all of them (docs/rejections.md).

-- Partitions are named rejections_YYYYMMDD, one per day of receipt in UTC, like those of events. The service creates them, and
-- drops them whole. There are no foreign keys, as for events.
CREATE TABLE rejections (
    -- A UUIDv7 by the server.
    id uuid NOT NULL,
    tenant_id bigint NOT NULL,
    workspace_id bigint NOT NULL,
    received_at timestamptz NOT NULL,
    event_id text,
    event_name text,
    -- The person, if one could be read.
    user_id text,
    anonymous_id text,
    -- The codes of the errors, each once, in commas: ,required,too_long,
    codes text COLLATE "C" NOT NULL,
    -- An array of objects with pointer, code and message.
    errors json NOT NULL,
    -- As sent. Not json: it may be cut.
    event text NOT NULL,
    is_cut boolean NOT NULL,
    request_id text NOT NULL,
    api_key_id text NOT NULL,
    protocol text NOT NULL,
    sdk text,
    user_agent text,
    -- Finds the examples of counts. The id alone cannot be unique over all partitions.
    PRIMARY KEY (id, received_at)
) PARTITION BY RANGE (received_at);

-- The order in which rejections are read.
CREATE INDEX rejections_by_time ON rejections (tenant_id, workspace_id, received_at);

-- Counts by hour of receipt. They include rejections that were not kept.
CREATE TABLE rejection_counts (
    tenant_id bigint NOT NULL,
    workspace_id bigint NOT NULL,
    -- event: rejected events. error: those with one error. request: requests refused before their events were read.
    kind text COLLATE "C" NOT NULL,
    -- The code of the error or problem; empty for rejected events.
    code text COLLATE "C" NOT NULL,
    -- JSON pointer within the event.
    pointer text COLLATE "C" NOT NULL,
    -- Empty if the event has none.
    event_name text COLLATE "C" NOT NULL,
    -- Start of the hour, in UTC.
    hour timestamptz NOT NULL,
    rejected bigint NOT NULL,
    -- The id of a kept rejection. It may be gone.
    example uuid,
    PRIMARY KEY (tenant_id, workspace_id, kind, code, pointer, event_name, hour),
    CONSTRAINT rejection_counts_kind_known CHECK (kind IN ('event', 'error', 'request')),
    CONSTRAINT rejection_counts_positive CHECK (rejected > 0)
    -- Room for new versions of rows: each is updated again and again for an hour.
) WITH (fillfactor = 70);

-- Finds expired counts.
CREATE INDEX rejection_counts_by_hour ON rejection_counts (hour);

-- The receipt of a deletion includes rejections. Older servers leave the column out.
ALTER TABLE deletions
    ADD COLUMN rejections bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT deletions_rejections_not_negative CHECK (rejections >= 0);

ALTER TABLE rejections ENABLE ROW LEVEL SECURITY;
ALTER TABLE rejection_counts ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON rejections
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);
CREATE POLICY one_tenant ON rejection_counts
    USING (tenant_id = nullif(current_setting('mercurio.tenant_id', true), '')::bigint);

DO $$
BEGIN
    IF to_regrole('mercurio_reader') IS NOT NULL THEN
        GRANT SELECT ON rejections, rejection_counts TO mercurio_reader;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN NULL;
END
$$;

//! The tables that only PostgreSQL has, for diesel. A test compares them with a fresh database.

diesel::table! {
    count_log (hour) {
        hour -> Timestamptz,
        tenant_ids -> Array<BigInt>,
        workspace_ids -> Array<BigInt>,
        event_names -> Array<Text>,
        counts -> Array<BigInt>,
    }
}

diesel::table! {
    event_keys (tenant_id, key) {
        tenant_id -> BigInt,
        key -> Uuid,
        workspace_id -> BigInt,
        occurred_at -> Timestamptz,
        received_at -> Timestamptz,
        position -> BigInt,
    }
}

diesel::table! {
    events (tenant_id, key) {
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        key -> Uuid,
        event_id -> Text,
        #[sql_name = "type"]
        kind -> Text,
        event_name -> Text,
        occurred_at -> Timestamptz,
        received_at -> Timestamptz,
        sent_timestamp -> Nullable<Timestamptz>,
        anonymous_id -> Nullable<Text>,
        user_id -> Nullable<Text>,
        session_id -> Nullable<Text>,
        schema_version -> Text,
        properties -> Nullable<Json>,
        traits -> Nullable<Json>,
        context -> Nullable<Json>,
        enrichment -> Json,
    }
}

diesel::table! {
    feed_eras (era) {
        era -> BigInt,
        token -> BigInt,
        server_started_at -> Timestamptz,
        database_id -> BigInt,
        transaction_id -> BigInt,
    }
}

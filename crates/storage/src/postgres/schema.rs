//! The tables that only PostgreSQL has, for diesel. A test compares them with a fresh database.

diesel::table! {
    tenant_usage (tenant_id, month, writer_id) {
        tenant_id -> BigInt,
        month -> BigInt,
        writer_id -> BigInt,
        share -> BigInt,
        used -> BigInt,
    }
}

diesel::table! {
    quota_writers (writer_id) {
        writer_id -> BigInt,
        owner -> Uuid,
        epoch -> BigInt,
        seen_at -> Timestamptz,
        number -> BigInt,
    }
}

diesel::table! {
    event_keys (tenant_id, key) {
        tenant_id -> BigInt,
        key -> Uuid,
        workspace_id -> BigInt,
        occurred_at -> Timestamptz,
        received_at -> Timestamptz,
        counted -> Nullable<Array<BigInt>>,
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

//! The tables that only SQLite has, for diesel. A test compares them with a fresh database.

diesel::table! {
    catalog_changes (id) {
        id -> BigInt,
        number -> BigInt,
    }
}

diesel::table! {
    events (row_id) {
        row_id -> BigInt,
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        key -> Binary,
        event_id -> Text,
        #[sql_name = "type"]
        kind -> Text,
        event_name -> Text,
        occurred_at -> BigInt,
        received_at -> BigInt,
        sent_timestamp -> Nullable<BigInt>,
        anonymous_id -> Nullable<Text>,
        user_id -> Nullable<Text>,
        session_id -> Nullable<Text>,
        schema_version -> Text,
        properties -> Nullable<Text>,
        traits -> Nullable<Text>,
        context -> Nullable<Text>,
        enrichment -> Text,
        removed_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    feed_eras (era) {
        era -> BigInt,
        token -> BigInt,
        last_number -> BigInt,
    }
}

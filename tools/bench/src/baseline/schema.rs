//! The table of the baseline, for diesel.

diesel::table! {
    baseline (tenant_id, event_id) {
        tenant_id -> BigInt,
        event_id -> Text,
        workspace_id -> BigInt,
        event_name -> Text,
        occurred_at -> Timestamptz,
        received_at -> Timestamptz,
        user_id -> Text,
        session_id -> Text,
        properties -> Jsonb,
        context -> Jsonb,
    }
}

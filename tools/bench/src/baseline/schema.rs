//! The table of the floor, for diesel.
#![allow(missing_docs)] // made by a macro, which takes no documentation of its parts

diesel::table! {
    floor (tenant_id, event_id) {
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

//! The tables that both databases have alike, for diesel. A test compares them with a fresh
//! database.

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use super::super::values::Time;

    tenants (id) {
        id -> BigInt,
        name -> Text,
        name_key -> Text,
        status -> Text,
        created_at -> Time,
        deleted_at -> Nullable<Time>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use super::super::values::Time;

    workspaces (id) {
        id -> BigInt,
        tenant_id -> BigInt,
        name -> Text,
        name_key -> Text,
        created_at -> Time,
        deleted_at -> Nullable<Time>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Binary, Nullable, Text};
    use super::super::values::Time;

    api_keys (id) {
        id -> Text,
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        name -> Text,
        scopes -> Text,
        secret_sha256 -> Binary,
        created_at -> Time,
        expires_at -> Nullable<Time>,
        revoked_at -> Nullable<Time>,
        last_used_at -> Nullable<Time>,
        origins -> Nullable<Text>,
    }
}

diesel::table! {
    tenant_limits (tenant_id, name) {
        tenant_id -> BigInt,
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    schema_compatibility (id) {
        id -> BigInt,
        minimum_version -> Text,
    }
}

diesel::table! {
    deletions (tenant_id, workspace_id) {
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        events -> BigInt,
        event_keys -> BigInt,
        rejections -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use super::super::values::Time;

    event_counts (tenant_id, workspace_id, event_name, hour) {
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        event_name -> Text,
        hour -> Time,
        accepted -> BigInt,
    }
}

diesel::table! {
    tenant_usage (tenant_id, month) {
        tenant_id -> BigInt,
        month -> BigInt,
        used -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Bool, Nullable, Text};
    use super::super::values::{Id, JsonType, Time};

    rejections (id, received_at) {
        id -> Id,
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        received_at -> Time,
        event_id -> Nullable<Text>,
        event_name -> Nullable<Text>,
        user_id -> Nullable<Text>,
        anonymous_id -> Nullable<Text>,
        codes -> Text,
        errors -> JsonType,
        event -> Text,
        is_cut -> Bool,
        request_id -> Text,
        api_key_id -> Text,
        protocol -> Text,
        sdk -> Nullable<Text>,
        user_agent -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use super::super::values::{Id, Time};

    rejection_counts (tenant_id, workspace_id, kind, code, pointer, event_name, hour) {
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        kind -> Text,
        code -> Text,
        pointer -> Text,
        event_name -> Text,
        hour -> Time,
        rejected -> BigInt,
        example -> Nullable<Id>,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Nullable, Text};
    use super::super::values::Time;

    audit_log (id) {
        id -> BigInt,
        recorded_at -> Time,
        actor -> Text,
        database_role -> Nullable<Text>,
        command -> Text,
        tenant_id -> Nullable<BigInt>,
        workspace_id -> Nullable<BigInt>,
        api_key_id -> Nullable<Text>,
        detail -> Text,
        outcome -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use super::super::values::Time;

    feed_consumers (tenant_id, workspace_id, name) {
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        name -> Text,
        cursor -> Text,
        updated_at -> Time,
    }
}

diesel::joinable!(api_keys -> tenants (tenant_id));
diesel::joinable!(api_keys -> workspaces (workspace_id));
diesel::allow_tables_to_appear_in_same_query!(api_keys, tenants, workspaces);

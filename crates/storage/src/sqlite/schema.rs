//! The tables in SQLite, as diesel knows them, and how times and JSON are read and written there. A test holds this file
//! against a fresh database.

use diesel::deserialize::{self, FromSql};
use diesel::expression::AsExpression;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Binary, Text};
use diesel::sqlite::{Sqlite, SqliteValue};

use mercurio_domain::EventKey;

use crate::rows::{JsonStr, JsonText, Micros};

diesel::table! {
    tenants (id) {
        id -> BigInt,
        name -> Text,
        name_key -> Text,
        status -> Text,
        created_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    workspaces (id) {
        id -> BigInt,
        tenant_id -> BigInt,
        name -> Text,
        name_key -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        name -> Text,
        scopes -> Text,
        secret_sha256 -> Binary,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
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
    catalog_changes (id) {
        id -> BigInt,
        number -> BigInt,
    }
}

diesel::table! {
    schema_compatibility (id) {
        id -> BigInt,
        minimum_version -> Text,
    }
}

diesel::table! {
    tenant_deletions (tenant_id) {
        tenant_id -> BigInt,
        events -> BigInt,
        event_keys -> BigInt,
    }
}

diesel::table! {
    event_counts (tenant_id, workspace_id, event_name, hour) {
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        event_name -> Text,
        hour -> BigInt,
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

diesel::joinable!(api_keys -> tenants (tenant_id));
diesel::allow_tables_to_appear_in_same_query!(api_keys, tenants);

impl ToSql<BigInt, Sqlite> for Micros {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0);
        Ok(IsNull::No)
    }
}

impl FromSql<BigInt, Sqlite> for Micros {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        FromSql::<BigInt, Sqlite>::from_sql(value).map(Self)
    }
}

impl ToSql<Text, Sqlite> for JsonStr<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0);
        Ok(IsNull::No)
    }
}

impl FromSql<Text, Sqlite> for JsonText {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        FromSql::<Text, Sqlite>::from_sql(value).map(Self)
    }
}

/// An event's key as SQLite keeps it: 16 bytes, in an order that is that of UUIDs.
#[derive(Debug, Clone, Copy, AsExpression)]
#[diesel(sql_type = Binary)]
pub(super) struct Key([u8; 16]);

impl Key {
    pub(super) fn of(key: EventKey) -> Self {
        Self(key.0.into_bytes())
    }
}

impl ToSql<Binary, Sqlite> for Key {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.as_slice());
        Ok(IsNull::No)
    }
}

//! The tables in PostgreSQL, as diesel knows them, and how times and JSON are read and written there. A test holds this
//! file against a fresh database.

use std::io::Write;

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{Json, Timestamptz};

use crate::rows::{JsonStr, JsonText, Micros};

diesel::table! {
    tenants (id) {
        id -> BigInt,
        name -> Text,
        name_key -> Text,
        status -> Text,
        created_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    workspaces (id) {
        id -> BigInt,
        tenant_id -> BigInt,
        name -> Text,
        name_key -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        name -> Text,
        scopes -> Text,
        secret_sha256 -> Bytea,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
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
    tenant_deletions (tenant_id) {
        tenant_id -> BigInt,
        events -> BigInt,
        event_keys -> BigInt,
    }
}

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
    event_counts (tenant_id, workspace_id, event_name, hour) {
        tenant_id -> BigInt,
        workspace_id -> BigInt,
        event_name -> Text,
        hour -> Timestamptz,
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
    event_keys (tenant_id, key) {
        tenant_id -> BigInt,
        key -> Uuid,
        workspace_id -> BigInt,
        occurred_at -> Timestamptz,
        received_at -> Timestamptz,
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

diesel::joinable!(api_keys -> tenants (tenant_id));
diesel::allow_tables_to_appear_in_same_query!(api_keys, tenants);

/// Microseconds from 1970 to 2000, from where PostgreSQL counts.
pub(super) const EPOCH_MICROS: i64 = 946_684_800_000_000;

impl ToSql<Timestamptz, Pg> for Micros {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        // Every time of the domain is far from the ends of i64.
        out.write_all(&self.0.saturating_sub(EPOCH_MICROS).to_be_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<Timestamptz, Pg> for Micros {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let since_2000 = i64::from_be_bytes(value.as_bytes().try_into()?);
        Ok(Self(since_2000.checked_add(EPOCH_MICROS).ok_or("a time out of range")?))
    }
}

impl ToSql<Json, Pg> for JsonStr<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<Json, Pg> for JsonText {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(std::str::from_utf8(value.as_bytes())?.to_owned()))
    }
}

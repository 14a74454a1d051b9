//! SQLite's encoding of times, JSON and keys.

use diesel::deserialize::{self, FromSql};
use diesel::expression::AsExpression;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Binary, Text};
use diesel::sqlite::{Sqlite, SqliteValue};
use mercurio_domain::EventKey;

use crate::rows::{JsonStr, JsonText, Micros};

/// Loads rows one by one, like any mode of SQLite.
pub(super) use diesel::connection::DefaultLoadingMode as RowMode;
/// The SQL type of [`Micros`].
pub(super) use diesel::sql_types::BigInt as Time;

/// An event's key: 16 bytes, ordered like UUIDs.
#[derive(Debug, Clone, Copy, AsExpression)]
#[diesel(sql_type = Binary)]
pub(super) struct Key([u8; 16]);

/// The form of an event's key in a query.
pub(super) fn key_value(key: EventKey) -> Key {
    Key(key.0.into_bytes())
}

impl ToSql<Binary, Sqlite> for Key {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        // BLOBs compare by `memcmp`, the order of UUIDs in PostgreSQL.
        out.set_value(self.0.as_slice());
        Ok(IsNull::No)
    }
}

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

#[cfg(test)]
pub(super) const EXPLAIN: &str = "EXPLAIN QUERY PLAN ";

/// The columns of a query plan.
#[cfg(test)]
pub(super) type PlanColumns = (
    diesel::sql_types::Integer,
    diesel::sql_types::Integer,
    diesel::sql_types::Integer,
    diesel::sql_types::Text,
);

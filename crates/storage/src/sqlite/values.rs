//! SQLite's encoding of times, JSON and keys.

use diesel::deserialize::{self, FromSql};
use diesel::expression::AsExpression;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Binary, Text};
use diesel::sqlite::{Sqlite, SqliteValue};
use mercurio_domain::EventKey;

use crate::rows::{JsonStr, JsonText, Micros, RowId};

/// Loads rows one by one, like any mode of SQLite.
pub(super) use diesel::connection::DefaultLoadingMode as RowMode;
/// The SQL type of [`Micros`].
pub(super) use diesel::sql_types::BigInt as Time;
/// The SQL type of [`RowId`].
pub(super) use diesel::sql_types::Binary as Id;
/// The SQL type of [`JsonText`].
pub(super) use diesel::sql_types::Text as JsonType;

/// The function that finds a text in another.
pub(super) const POSITION: &str = "instr";
/// Begins and ends the condition of a bounded `DELETE`, around `FROM … LIMIT …`. SQLite has
/// `DELETE … LIMIT` only as a compile-time option.
pub(super) const BOUNDED: [&str; 2] = ["rowid IN (SELECT rowid ", ")"];

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

impl ToSql<Id, Sqlite> for RowId {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.as_bytes().as_slice());
        Ok(IsNull::No)
    }
}

impl FromSql<Id, Sqlite> for RowId {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let bytes: Vec<u8> = FromSql::<Id, Sqlite>::from_sql(value)?;
        Ok(Self(uuid::Uuid::from_slice(&bytes)?))
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

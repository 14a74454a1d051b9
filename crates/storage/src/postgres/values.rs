//! PostgreSQL's encoding of times, JSON and keys.

use std::io::Write;

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{Json, Timestamptz};
use mercurio_domain::EventKey;
use uuid::Uuid;

use crate::rows::{JsonStr, JsonText, Micros, RowId};

/// Loads rows one by one.
pub(super) use diesel::pg::PgRowByRowLoadingMode as RowMode;
/// The SQL type of [`JsonText`].
pub(super) use diesel::sql_types::Json as JsonType;
/// The SQL type of [`Micros`].
pub(super) use diesel::sql_types::Timestamptz as Time;
/// The SQL type of [`RowId`].
pub(super) use diesel::sql_types::Uuid as Id;

/// The function that finds a text in another.
pub(super) const POSITION: &str = "strpos";
/// Begins and ends the condition of a bounded `DELETE`, around `FROM … LIMIT …`. Only for tables
/// without partitions, whose addresses are unique.
pub(super) const BOUNDED: [&str; 2] = ["ctid = ANY (ARRAY(SELECT ctid ", "))"];

/// Microseconds from 1970 to 2000, PostgreSQL's epoch.
pub(super) const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The form of an event's key in a query.
pub(super) fn key_value(key: EventKey) -> Uuid {
    key.0
}

impl ToSql<Timestamptz, Pg> for Micros {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        // Saturates only for times far outside the domain's range.
        out.write_all(&self.0.saturating_sub(EPOCH_MICROS).to_be_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<Timestamptz, Pg> for Micros {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        // Binary results: a count of microseconds in network byte order.
        let since_2000 = i64::from_be_bytes(value.as_bytes().try_into()?);
        Ok(Self(since_2000.checked_add(EPOCH_MICROS).ok_or("a time out of range")?))
    }
}

impl ToSql<Id, Pg> for RowId {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<Id, Pg> for RowId {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Uuid::from_slice(value.as_bytes())?))
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
        // The binary form of `json` is its text.
        Ok(Self(std::str::from_utf8(value.as_bytes())?.to_owned()))
    }
}

#[cfg(test)]
pub(super) const EXPLAIN: &str = "EXPLAIN (COSTS OFF) ";

/// The columns of a query plan.
#[cfg(test)]
pub(super) type PlanColumns = diesel::sql_types::Text;

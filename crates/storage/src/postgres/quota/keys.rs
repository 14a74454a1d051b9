//! The keys of groups, in `event_keys`, by which writers count from what is reserved for them.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Timestamptz, Uuid as SqlUuid};
use mercurio_domain::limits::Month;
use mercurio_domain::store::Account;
use mercurio_domain::{TenantId, Timestamp};
use uuid::Uuid;

use super::super::schema::event_keys;
use super::super::statement::statement;
use super::moved;
use super::writer::{Seat, Series, Writer};
use crate::error::Error;
use crate::rows::Micros;

/// Whose the keys of groups are: nobody's. Tenants are numbered from 1.
pub(in crate::postgres) const NOBODY: TenantId = TenantId(0);

/// How often a writer's next group is looked for, while others are stored.
const MAX_CALLS: u32 = 100;

statement! {
    /// See [`add_up`].
    pub(super) AddUp =
    "WITH gone AS (
        DELETE FROM event_keys WHERE tenant_id = 0 AND key BETWEEN ", first: Uuid => SqlUuid, " AND ", last: Uuid => SqlUuid,
    " AND (counted IS NOT NULL OR ", with_fences: bool => Bool, ") RETURNING counted),
    entries AS (
        SELECT gone.counted[1] AS month, gone.counted[place] AS tenant_id, sum(gone.counted[place + 1])::bigint AS events
        FROM gone CROSS JOIN generate_series(2, cardinality(gone.counted), 2) AS place GROUP BY 1, 2)
    INSERT INTO tenant_usage AS usage (tenant_id, month, writer_id, share, used)
    SELECT entries.tenant_id, entries.month, ", writer_id: i64 => BigInt, ", entries.events, entries.events FROM entries
    JOIN tenant_usage AS own ON own.tenant_id = entries.tenant_id AND own.month = entries.month AND own.writer_id = 0
    ON CONFLICT (tenant_id, month, writer_id) DO UPDATE
    SET used = usage.used + excluded.used, share = greatest(usage.share, usage.used + excluded.used)",
}

statement! {
    /// See [`settle`].
    pub(super) Settle =
    "WITH gone AS (DELETE FROM event_keys WHERE tenant_id = 0 AND key BETWEEN ", first: Uuid => SqlUuid, " AND ", last: Uuid => SqlUuid,
    ")
    UPDATE tenant_usage AS usage SET used = share - settled.rest
    FROM unnest(", tenant_ids: Vec<i64> => Array<BigInt>, ", ", months: Vec<i64> => Array<BigInt>, ", ", rests: Vec<i64> => Array<BigInt>,
    ") AS settled (tenant_id, month, rest)
    WHERE usage.tenant_id = settled.tenant_id AND usage.month = settled.month AND usage.writer_id = ", writer_id: i64 => BigInt,
    " AND used <> share - settled.rest",
}

statement! {
    /// See [`count_last`].
    CountLast =
    "WITH free AS (
        SELECT writer_id FROM quota_writers WHERE writer_id = ", writer_id: i64 => BigInt, " AND epoch = ", epoch: i64 => BigInt,
    " FOR NO KEY UPDATE SKIP LOCKED)
    INSERT INTO event_keys (tenant_id, key, workspace_id, occurred_at, received_at, counted)
    SELECT 0, ", key: Uuid => SqlUuid, ", 0, ", occurred_at: Micros => Timestamptz, ", ", received_at: Micros => Timestamptz, ", ",
    counted: Vec<i64> => Array<BigInt>, " FROM free",
}

/// A row that says what a group counts of the tenants of a month.
#[derive(Debug)]
pub(in crate::postgres) struct GroupKey {
    pub(in crate::postgres) key: Uuid,
    pub(in crate::postgres) received_at: Timestamp,
    /// The month and then, in turns, a tenant and how many of its events.
    pub(in crate::postgres) counted: Vec<i64>,
}

impl GroupKey {
    /// The rows of the group of that number from `first` on: one for each month.
    pub(super) fn of(
        seat: Seat,
        number: u16,
        first: u8,
        received_at: Timestamp,
        events: impl Iterator<Item = (Account, u64)>,
    ) -> Result<Vec<Self>, Error> {
        let mut months: BTreeMap<Month, Vec<i64>> = BTreeMap::new();
        for (account, events) in events {
            let counted = months
                .entry(account.month)
                .or_insert_with(|| vec![i64::from(account.month.number())]);
            counted.extend([account.tenant_id.0, super::rows::signed(events)]);
        }
        let row = |(counted, place): (Vec<i64>, usize)| {
            // A group lasts some milliseconds: it lies in two months at most.
            let row = u8::try_from(usize::from(first) + place).map_err(|_| moved())?;
            Ok(Self { key: seat.series().key(number, row), received_at, counted })
        };
        months.into_values().zip(0..).map(row).collect()
    }
}

/// Counts a group, or what more of it is new: the last thing before the commit. `seat`: whose it is, where no row of the group was
/// written before. With one it can't be called any more.
///
/// # Errors
/// [`ErrorKind::QuotaMoved`](crate::error::ErrorKind::QuotaMoved) where it is being called, or was.
pub(super) fn count_last(
    connection: &mut PgConnection,
    seat: Option<Seat>,
    rows: Vec<GroupKey>,
) -> Result<(), Error> {
    use event_keys::{counted, key, occurred_at, received_at, table, tenant_id, workspace_id};
    for row in rows {
        let time = Micros::from(row.received_at);
        let Some(seat) = seat else {
            let values = (tenant_id.eq(NOBODY.0), key.eq(row.key), workspace_id.eq(0));
            let times = (occurred_at.eq(time), received_at.eq(time), counted.eq(row.counted));
            diesel::insert_into(table).values((values, times)).execute(connection)?;
            continue;
        };
        let statement = CountLast {
            writer_id: seat.id,
            epoch: seat.epoch,
            key: row.key,
            occurred_at: time,
            received_at: time,
            counted: row.counted,
        };
        let written = statement.execute(connection)?;
        if written == 0 {
            return Err(moved());
        }
    }
    Ok(())
}

/// Waits for the group that the writer is storing, whose row is held, and sees to it that it begins none any more in that epoch.
/// `number`: that of its first group that is not added up.
pub(super) fn fence(
    connection: &mut PgConnection,
    series: Series,
    number: u16,
) -> Result<(), Error> {
    use event_keys::{key, occurred_at, received_at, table, tenant_id, workspace_id};
    let (first, last) = series.keys();
    for _ in 0..MAX_CALLS {
        let known =
            table.filter(tenant_id.eq(NOBODY.0)).filter(key.between(first, last)).select(key);
        let known: Option<Uuid> = known.order(key.desc()).first(connection).optional()?;
        let next = known.map_or(0, |known| Series::number_of(known).saturating_add(1)).max(number);
        // It is storing this group, or will next. Where that is committed meanwhile, the one behind it is taken already, and where
        // it is rolled back, this one. So the one behind comes first.
        let behind = next.saturating_add(1);
        let row = |number: u16| {
            let times = (occurred_at.eq(diesel::dsl::now), received_at.eq(diesel::dsl::now));
            (tenant_id.eq(NOBODY.0), key.eq(series.key(number, 0)), workspace_id.eq(0), times)
        };
        let taken: Vec<Uuid> = diesel::insert_into(table)
            .values(vec![row(behind), row(next)])
            .on_conflict_do_nothing()
            .returning(key)
            .get_results(connection)?;
        if taken.contains(&series.key(behind, 0)) {
            return Ok(());
        }
    }
    Err(moved())
}

/// Adds up what a writer has counted in these epochs, whose row is held, and deletes its groups' keys. What was counted of accounts that
/// are gone goes with them. What was stored is counted, also where the reservation is lost that it was counted from. `with_fences`: it
/// knows that these epochs are over.
pub(super) fn add_up(
    connection: &mut PgConnection,
    first: Series,
    last: Series,
    with_fences: bool,
) -> Result<(), Error> {
    let (first, last, writer_id) = (first.keys().0, last.keys().1, first.writer_id);
    AddUp { first, last, with_fences, writer_id }.execute(connection)?;
    Ok(())
}

/// As [`add_up`] does it for a writer that knows, and whose row is held and has not changed: what it may count in all, less what is left, is
/// what it has counted. Nearly all adding up is this, and it costs a third.
pub(super) fn settle(
    connection: &mut PgConnection,
    series: Series,
    writer: &Writer,
) -> Result<(), Error> {
    let (first, last) = series.keys();
    let (mut tenant_ids, mut months, mut rests) = (Vec::new(), Vec::new(), Vec::new());
    for ((tenant_id, month), left) in writer.changed() {
        tenant_ids.push(tenant_id.0);
        months.push(i64::from(month.number()));
        rests.push(super::rows::signed(left));
    }
    Settle { first, last, tenant_ids, months, rests, writer_id: series.writer_id }
        .execute(connection)?;
    Ok(())
}

//! The partitions of `events`, one for each day in UTC, made when the first event of a day comes and some days ahead.
//!
//! A partition is made as a table of its own and then attached: that takes a lock on `events` which lets others go on
//! reading and writing, where `CREATE TABLE … PARTITION OF` would shut them out. It happens in a transaction before the
//! events' own, so that it holds no other lock, and under a lock of its own, so that two servers at midnight take turns.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use chrono::{Days as Count, NaiveDate};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Date};
use mercurio_domain::Timestamp;

use crate::error::{Failed, Failure};
use crate::pool::Pool;
use crate::transaction;

/// How many days after a new one are made with it: a week in which a server whose user may not make tables goes on.
const DAYS_AHEAD: u64 = 7;
/// The number of the lock under which partitions are made: `mercpart` in ASCII.
const LOCK: i64 = 0x6d65_7263_7061_7274;

/// The days whose partitions this process has seen. They hold for all of its connections.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Days {
    known: RwLock<BTreeSet<NaiveDate>>,
}

impl Days {
    /// Makes sure that every event received at one of `received_at` has a partition to go to. Costs nothing where the days
    /// are known.
    pub(in crate::postgres) fn prepare(
        &self,
        pool: &Pool<PgConnection>,
        received_at: impl Iterator<Item = Timestamp>,
    ) -> Result<(), Failed> {
        let days: BTreeSet<NaiveDate> =
            received_at.map(|time| time.to_datetime().date_naive()).collect();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let new: BTreeSet<NaiveDate> = days.difference(&known).copied().collect();
        drop(known);
        if new.is_empty() {
            return Ok(());
        }
        let made = transaction::write(pool, |connection| make(connection, &with_days_ahead(&new)));
        if let Err(failed) = made {
            // The days ahead are for another time; what counts now may have been there all along.
            let there = transaction::read(pool, |connection| missing(connection, &new))?;
            if !there.is_empty() {
                return Err(failed);
            }
        }
        self.known.write().unwrap_or_else(PoisonError::into_inner).extend(new);
        Ok(())
    }

    /// Makes the partitions of today, by the server's clock, and of the days ahead.
    pub(in crate::postgres) fn prepare_ahead(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), Failure> {
        connection.transaction(|connection| {
            let today = diesel::dsl::sql::<Date>("(now() AT TIME ZONE 'UTC')::date");
            let today: NaiveDate = diesel::select(today).get_result(connection)?;
            make(connection, &with_days_ahead(&BTreeSet::from([today])))
        })
    }

    /// Forgets every day: partitions were taken away.
    pub(in crate::postgres) fn forget(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn with_days_ahead(days: &BTreeSet<NaiveDate>) -> BTreeSet<NaiveDate> {
    days.iter()
        .flat_map(|day| {
            (0..=DAYS_AHEAD).filter_map(|ahead| day.checked_add_days(Count::new(ahead)))
        })
        .collect()
}

fn name_of(day: NaiveDate) -> String {
    format!("events_{}", day.format("%Y%m%d"))
}

/// Those of `days` that have no partition.
fn missing(
    connection: &mut PgConnection,
    days: &BTreeSet<NaiveDate>,
) -> Result<Vec<NaiveDate>, Failure> {
    diesel::table! {
        pg_catalog.pg_class (oid) {
            oid -> Oid,
            relname -> Text,
        }
    }
    let names: Vec<String> = days.iter().copied().map(name_of).collect();
    let is_partition = diesel::dsl::sql::<Bool>(
        "EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = oid AND inhparent = 'events'::regclass)",
    );
    let there: Vec<String> = pg_class::table
        .filter(pg_class::relname.eq_any(&names))
        .filter(is_partition)
        .select(pg_class::relname)
        .load(connection)?;
    Ok(days.iter().copied().filter(|day| !there.contains(&name_of(*day))).collect())
}

/// Makes the partitions that are missing. Runs in a transaction.
fn make(connection: &mut PgConnection, days: &BTreeSet<NaiveDate>) -> Result<(), Failure> {
    if missing(connection, days)?.is_empty() {
        return Ok(());
    }
    connection.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?;
    // Asked again: whoever had the lock before may have made them.
    for day in missing(connection, days)? {
        let Some(next) = day.succ_opt() else { continue };
        let name = name_of(day);
        connection.batch_execute(&format!(
            "CREATE TABLE {name} (LIKE events INCLUDING ALL);
             ALTER TABLE events ATTACH PARTITION {name}
             FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')"
        ))?;
    }
    Ok(())
}

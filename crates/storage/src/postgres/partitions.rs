//! The partitions of `events` and `rejections`: one per UTC day, created with the first row of a day
//! and some days ahead.
//!
//! A partition is created as a separate table and then attached. `ATTACH PARTITION` lets others
//! read and write the table; `CREATE TABLE … PARTITION OF` would block them. It runs in its own
//! transaction before that of the rows, so it holds no other lock, and under an advisory lock, so
//! that servers take turns at midnight.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use chrono::{Days, NaiveDate};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Date};
use mercurio_domain::Timestamp;

use crate::error::Error;
use crate::pool::Pool;
use crate::transaction;

/// Partitions created after a new one. They keep a server whose role can't create tables running
/// for a week.
const DAYS_AHEAD: u64 = 7;
/// Advisory lock for creating partitions: `mercpart` in ASCII.
const LOCK: i64 = 0x6d65_7263_7061_7274;

/// The partitioned tables.
const TABLES: [&str; 2] = ["events", "rejections"];

/// The days whose partitions of a table exist, as far as this process knows.
#[derive(Debug)]
pub(super) struct DailyPartitions {
    table: &'static str,
    known: RwLock<BTreeSet<NaiveDate>>,
}

impl DailyPartitions {
    pub(super) fn of(table: &'static str) -> Self {
        debug_assert!(TABLES.contains(&table), "its partitions are created ahead");
        Self { table, known: RwLock::default() }
    }

    /// Creates the missing partitions for rows received at `received_at`. Queries nothing for
    /// known days.
    pub(super) fn prepare(
        &self,
        pool: &Pool<PgConnection>,
        received_at: impl Iterator<Item = Timestamp>,
    ) -> Result<(), Error> {
        let days: BTreeSet<NaiveDate> =
            received_at.map(|time| time.to_datetime().date_naive()).collect();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let new: BTreeSet<NaiveDate> = days.difference(&known).copied().collect();
        // Released before the database is queried: other threads need it for each group.
        drop(known);
        if new.is_empty() {
            return Ok(());
        }
        let created = transaction::write(pool, |connection| {
            create(connection, self.table, &with_days_ahead(&new))
        });
        if let Err(error) = created {
            // The days ahead can wait. The rows need only `new`, which may exist already.
            let missing =
                transaction::read(pool, |connection| missing(connection, self.table, &new))?;
            if !missing.is_empty() {
                return Err(error);
            }
        }
        // Only what the rows needed. The days ahead are checked when they come.
        self.known.write().unwrap_or_else(PoisonError::into_inner).extend(new);
        Ok(())
    }

    /// Forgets all known days, after a partition turned out to be missing.
    pub(super) fn forget(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Creates the partitions of today, by the database's clock, and of the days ahead.
pub(super) fn create_ahead(connection: &mut PgConnection) -> Result<(), Error> {
    connection.transaction(|connection| {
        // By the database, because the migrating machine's clock may be wrong.
        let today = diesel::dsl::sql::<Date>("(now() AT TIME ZONE 'UTC')::date");
        let today: NaiveDate = diesel::select(today).get_result(connection)?;
        for table in TABLES {
            create(connection, table, &with_days_ahead(&BTreeSet::from([today])))?;
        }
        Ok(())
    })
}

fn with_days_ahead(days: &BTreeSet<NaiveDate>) -> BTreeSet<NaiveDate> {
    let mut all = BTreeSet::new();
    for day in days {
        for ahead in 0..=DAYS_AHEAD {
            // Days after chrono's last one are left out.
            all.extend(day.checked_add_days(Days::new(ahead)));
        }
    }
    all
}

pub(super) fn name_of(table: &str, day: NaiveDate) -> String {
    format!("{table}_{}", day.format("%Y%m%d"))
}

/// The days without a partition.
fn missing(
    connection: &mut PgConnection,
    table: &str,
    days: &BTreeSet<NaiveDate>,
) -> Result<Vec<NaiveDate>, Error> {
    // Bounds are text in the catalog, so partitions are found by name.
    diesel::table! {
        pg_catalog.pg_class (oid) {
            oid -> Oid,
            relname -> Text,
        }
    }
    let names: Vec<String> = days.iter().map(|day| name_of(table, *day)).collect();
    let is_partition = diesel::dsl::sql::<Bool>(&format!(
        "EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = oid AND inhparent = '{table}'::regclass)",
    ));
    let existing: Vec<String> = pg_class::table
        .filter(pg_class::relname.eq_any(&names))
        .filter(is_partition)
        .select(pg_class::relname)
        .load(connection)?;
    Ok(days.iter().copied().filter(|day| !existing.contains(&name_of(table, *day))).collect())
}

/// Creates the missing partitions. Runs in a transaction.
fn create(
    connection: &mut PgConnection,
    table: &str,
    days: &BTreeSet<NaiveDate>,
) -> Result<(), Error> {
    // Without the advisory lock: nearly always nothing is missing.
    if missing(connection, table, days)?.is_empty() {
        return Ok(());
    }
    // Released by the end of the transaction, also after an error.
    connection.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?;
    // The previous holder of the lock may have created them.
    for day in missing(connection, table, days)? {
        let Some(next) = day.succ_opt() else { continue };
        let name = name_of(table, day);
        // With all indexes and constraints, so that attaching builds none. The bounds carry an
        // offset: the session may have another time zone.
        connection.batch_execute(&format!(
            "CREATE TABLE {name} (LIKE {table} INCLUDING ALL);
             ALTER TABLE {table} ATTACH PARTITION {name}
             FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')"
        ))?;
    }
    Ok(())
}

//! Changes of the catalog in SQLite: triggers increment a counter, and the listener polls it.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use mercurio_domain::store::{CatalogChange, CatalogListener, StoreError};

use super::schema::catalog_changes;
use crate::error::Error;
use crate::pool::Pool;
use crate::transaction;

// Ten look-ups of one row a second; a revocation must be known within a second (ADR 7).
const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct PollingListener {
    system: Pool<SqliteConnection>,
    /// The counter at the last poll.
    counter: i64,
}

impl PollingListener {
    /// Receives all changes committed from now on.
    pub(super) fn start(system: Pool<SqliteConnection>) -> Result<Self, Error> {
        let counter = read_counter(&system)?;
        Ok(Self { system, counter })
    }
}

fn read_counter(system: &Pool<SqliteConnection>) -> Result<i64, Error> {
    transaction::read(system, |connection| {
        Ok(catalog_changes::table.select(catalog_changes::number).first::<i64>(connection)?)
    })
}

impl CatalogListener for PollingListener {
    fn next(&mut self, timeout: Duration) -> Result<Vec<CatalogChange>, StoreError> {
        let end = Instant::now() + timeout;
        loop {
            let counter = read_counter(&self.system)?;
            // Unequal, not greater: a restored backup has a lower counter.
            if counter != self.counter {
                self.counter = counter;
                // The counter does not say what changed. The catalog of a file is small to reload.
                return Ok(vec![CatalogChange::Anything]);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            std::thread::sleep(POLL_INTERVAL.min(left));
        }
    }
}

//! Changes of the catalogue in SQLite: a number that triggers raise, read now and then.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use mercurio_domain::store::{CatalogChange, CatalogWatch, StoreError};

use super::schema::catalog_changes;
use crate::error::Failed;
use crate::pool::Pool;
use crate::transaction;

/// How often the number is read.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Reads the number.
pub(super) struct Watch {
    readers: Pool<SqliteConnection>,
    number: i64,
}

impl Watch {
    /// Hears all changes that are committed from now on.
    pub(super) fn on(readers: Pool<SqliteConnection>) -> Result<Self, Failed> {
        let number = number(&readers)?;
        Ok(Self { readers, number })
    }
}

fn number(readers: &Pool<SqliteConnection>) -> Result<i64, Failed> {
    transaction::read(readers, |connection| {
        Ok(catalog_changes::table.select(catalog_changes::number).first::<i64>(connection)?)
    })
}

impl CatalogWatch for Watch {
    fn next(&mut self, timeout: Duration) -> Result<Vec<CatalogChange>, StoreError> {
        let end = Instant::now() + timeout;
        loop {
            let number = number(&self.readers)?;
            if number != self.number {
                self.number = number;
                return Ok(vec![CatalogChange::Anything]);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            std::thread::sleep(LOOK_EVERY.min(left));
        }
    }
}

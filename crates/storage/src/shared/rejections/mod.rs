//! Rejected events and their counts.

mod columns;
mod pages;
mod person;
mod record;
mod removal;
mod steps;
mod totals;

use mercurio_domain::store::{
    ExpiredRejections, RejectionBatch, RejectionCountQuery, RejectionPage, RejectionQuery,
    RejectionTotal, Rejections, StoreError,
};
use mercurio_domain::{Owner, Timestamp};

use super::DbStore;

pub(crate) use removal::{count_removal, remove, remove_late};
pub(crate) use steps::RejectionPosition;

#[cfg(test)]
pub(crate) use {
    pages::page_query,
    person::{Search, later_workspaces},
    totals::{Totals, examples_query},
};

impl Rejections for DbStore {
    fn record_rejections(&self, batch: &RejectionBatch) -> Result<(), StoreError> {
        let batch = batch.normalized();
        let received_at = batch.events.iter().map(|event| event.received_at);
        Ok(self.write_rejections(received_at, |connection| record::record(connection, &batch))?)
    }

    fn rejections(
        &self,
        owner: Owner,
        query: &RejectionQuery,
    ) -> Result<RejectionPage, StoreError> {
        self.read_rejections(owner, |connection| pages::load(connection, owner, query))
    }

    fn rejection_totals(
        &self,
        owner: Owner,
        query: &RejectionCountQuery,
    ) -> Result<Vec<RejectionTotal>, StoreError> {
        self.read_rejections(owner, |connection| totals::load(connection, owner, query))
    }

    fn count_rejections(&self, owner: Option<Owner>, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.read(|connection| removal::count_old(connection, owner, before))?)
    }

    fn expire_rejections(
        &self,
        owner: Option<Owner>,
        before: Timestamp,
    ) -> Result<ExpiredRejections, StoreError> {
        Ok(self.write(|connection| removal::expire(connection, owner, before))?)
    }
}

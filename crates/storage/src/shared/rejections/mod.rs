//! Rejected events and their counts.

mod pages;
mod record;
mod removal;
mod totals;

use mercurio_domain::store::{
    ExpiredRejections, RejectionBatch, RejectionCountQuery, RejectionPage, RejectionQuery,
    RejectionTotal, Rejections, StoreError,
};
use mercurio_domain::{Owner, Timestamp};

use super::schema::rejections;
use super::{Db, DbConnection, DbStore, removal as backend_removal, values};

pub(crate) use removal::{RejectionPosition, count_removal, remove, remove_late};

#[cfg(test)]
pub(crate) use {pages::page_query, totals::Totals, totals::examples_query};

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

/// The columns of a [`RejectionRow`](crate::rejection_rows::RejectionRow).
type RejectionColumns = (
    rejections::id,
    rejections::tenant_id,
    rejections::workspace_id,
    rejections::received_at,
    rejections::event_id,
    rejections::event_name,
    rejections::user_id,
    rejections::anonymous_id,
    rejections::errors,
    rejections::event,
    rejections::is_cut,
    rejections::request_id,
    rejections::api_key_id,
    rejections::protocol,
    rejections::sdk,
    rejections::user_agent,
);

fn columns() -> RejectionColumns {
    use rejections::*;
    (
        id,
        tenant_id,
        workspace_id,
        received_at,
        event_id,
        event_name,
        user_id,
        anonymous_id,
        errors,
        event,
        is_cut,
        request_id,
        api_key_id,
        protocol,
        sdk,
        user_agent,
    )
}

type RejectionsQuery<'a> =
    diesel::dsl::IntoBoxed<'a, diesel::dsl::Select<rejections::table, RejectionColumns>, Db>;

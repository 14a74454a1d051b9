//! Rejected events and their counts.

use mercurio_domain::store::{
    RejectionBatch, RejectionCountQuery, RejectionPage, RejectionQuery, RejectionTotal, Rejections,
    StoreError,
};
use mercurio_domain::{Owner, Timestamp};

use super::DbStore;

// FRAME: replaced by the real one.
fn missing() -> StoreError {
    StoreError::Internal("rejections are not built yet".into())
}

impl Rejections for DbStore {
    fn record_rejections(&self, _batch: &RejectionBatch) -> Result<(), StoreError> {
        Err(missing())
    }

    fn rejections(&self, _: Owner, _: &RejectionQuery) -> Result<RejectionPage, StoreError> {
        Err(missing())
    }

    fn rejection_totals(
        &self,
        _: Owner,
        _: &RejectionCountQuery,
    ) -> Result<Vec<RejectionTotal>, StoreError> {
        Err(missing())
    }

    fn expire_rejections(&self, _: Option<Owner>, _: Timestamp) -> Result<u64, StoreError> {
        Err(missing())
    }
}

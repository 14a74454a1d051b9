//! The feed for the backend's store.

use mercurio_domain::store::{Feed, FeedCursor, FeedError, FeedPage, FeedQuery, StoreError};
use mercurio_domain::{Owner, Timestamp};

use super::DbStore;

// FRAME: replaced by the real one.
fn missing() -> StoreError {
    StoreError::Internal("the feed is not built yet".into())
}

impl Feed for DbStore {
    fn feed(&self, _: Owner, _: &FeedQuery) -> Result<FeedPage, FeedError> {
        Err(missing().into())
    }

    fn consumer_cursor(&self, _: Owner, _: &str) -> Result<Option<FeedCursor>, StoreError> {
        Err(missing())
    }

    fn advance_consumer(
        &self,
        _: Owner,
        _: &str,
        _: Option<&FeedCursor>,
        _: &FeedCursor,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        Err(missing())
    }
}

//! The responses of `GET /v1/events` and `GET /v1/feed`.

use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::FeedPage;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(crate) struct EventPageResponse {
    /// The events, in the order of the request. Up to `limit`, and up to 1 MiB.
    pub(crate) events: Vec<StoredEvent>,
    /// The `cursor` of the next page, to be sent unchanged; `null` on the last page.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FeedPageResponse {
    /// The events, oldest commit first. Up to `limit`, and up to 1 MiB. Empty at the newest event.
    pub(crate) events: Vec<StoredEvent>,
    /// The `after` of the next page, to be sent unchanged.
    pub(crate) next: String,
}

impl From<FeedPage> for FeedPageResponse {
    fn from(page: FeedPage) -> Self {
        Self { events: page.events, next: page.next.to_text() }
    }
}

/// A line of the feed as `application/x-ndjson` after the events of each page.
#[derive(Serialize)]
pub(crate) struct FeedNextLine {
    /// The cursor after all events so far.
    pub(crate) next: String,
}

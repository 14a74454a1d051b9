//! The response of `GET /v1/events`.

use mercurio_domain::event::StoredEvent;
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

//! Pages of rejected events.

use super::page_items::PageItems;
use super::{Position, RejectedEvent};

/// A page of rejected events, made by a [`RejectionPageBuilder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionPage {
    /// Newest first.
    pub events: Vec<RejectedEvent>,
    /// Start of the next page; `None` on the last page.
    pub next: Option<Position>,
}

/// Collects a page, up to its limit of events and [`crate::limits::MAX_PAGE_BYTES`].
///
/// A page has at least one event if there is any, so that cursors always advance.
#[derive(Debug)]
pub struct RejectionPageBuilder(PageItems<RejectedEvent>);

impl RejectionPageBuilder {
    /// An empty page of up to `limit` events.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(PageItems::new(limit))
    }

    /// Adds the next event if the page has room for it. Returns whether it had: otherwise the page
    /// is complete, and `event` is the first of the next one.
    pub fn push(&mut self, event: RejectedEvent) -> bool {
        let bytes = event.size_bytes();
        self.0.push(event, bytes)
    }

    /// The position of the last event so far.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.0.last().map(RejectedEvent::position)
    }

    /// Ends the page early: more events follow.
    #[must_use]
    pub fn cut(mut self) -> RejectionPage {
        self.0.cut();
        self.finish()
    }

    /// Ends the page. Its `next` is the last event shown.
    #[must_use]
    pub fn finish(self) -> RejectionPage {
        let next = self.position().filter(|_| self.0.has_more());
        RejectionPage { events: self.0.into_items(), next }
    }
}

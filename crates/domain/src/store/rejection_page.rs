//! Pages of rejected events.

use super::{Position, RejectedEvent};
use crate::limits::MAX_PAGE_BYTES;

/// A page of rejected events, made by a [`RejectionPageBuilder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectionPage {
    /// Newest first.
    pub events: Vec<RejectedEvent>,
    /// Start of the next page; `None` on the last page.
    pub next: Option<Position>,
}

/// Collects a page, up to its limit of events and [`MAX_PAGE_BYTES`].
///
/// A page has at least one event if there is any, so that cursors always advance.
#[derive(Debug)]
pub struct RejectionPageBuilder {
    limit: usize,
    events: Vec<RejectedEvent>,
    bytes: usize,
    has_more: bool,
}

impl RejectionPageBuilder {
    /// An empty page of up to `limit` events.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, events: Vec::new(), bytes: 0, has_more: false }
    }

    /// Adds the next event if the page has room for it. Returns whether it had: otherwise the page
    /// is complete, and `event` is the first of the next one.
    pub fn push(&mut self, event: RejectedEvent) -> bool {
        let bytes = self.bytes + event.size_bytes();
        let is_too_large = bytes > MAX_PAGE_BYTES && !self.events.is_empty();
        if self.events.len() >= self.limit || is_too_large {
            self.has_more = true;
            return false;
        }
        self.bytes = bytes;
        self.events.push(event);
        true
    }

    /// The position of the last event so far.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.events.last().map(RejectedEvent::position)
    }

    /// Ends the page early: more events follow.
    #[must_use]
    pub fn cut(self) -> RejectionPage {
        Self { has_more: true, ..self }.finish()
    }

    /// Ends the page. Its `next` is the last event shown.
    #[must_use]
    pub fn finish(self) -> RejectionPage {
        let next = self.position().filter(|_| self.has_more);
        RejectionPage { events: self.events, next }
    }
}

//! Queries for events, and their pages.
//!
//! Pages follow the total order of an [`EventSort`], and each starts strictly after the previous
//! one's last event. So an event stored before the first page is read appears exactly once, even if
//! others arrive in between.

use super::page_items::PageItems;
use super::position::Position;
use super::sort::EventSort;
use crate::clock::Timestamp;
use crate::event::{EventType, StoredEvent};
use crate::limits::DEFAULT_PAGE_EVENTS;

/// Filters for events of a workspace. An event must match all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Exact event name.
    pub event_name: Option<String>,
    /// Event type.
    pub kind: Option<EventType>,
    /// Exact `anonymous_id`.
    pub anonymous_id: Option<String>,
    /// Exact `user_id`.
    pub user_id: Option<String>,
    /// Exact `session_id`.
    pub session_id: Option<String>,
    /// Inclusive lower bound of `occurred_at`.
    pub from: Option<Timestamp>,
    /// Exclusive upper bound of `occurred_at`.
    pub to: Option<Timestamp>,
    /// Inclusive lower bound of `received_at`.
    pub received_from: Option<Timestamp>,
    /// Exclusive upper bound of `received_at`.
    pub received_to: Option<Timestamp>,
    /// Order of the events.
    pub sort: EventSort,
    /// Returns only events strictly after this position of the order.
    pub after: Option<Position>,
    /// Page size, 1 to [`crate::limits::MAX_PAGE_EVENTS`].
    pub limit: usize,
}

impl Default for EventQuery {
    fn default() -> Self {
        Self {
            event_name: None,
            kind: None,
            anonymous_id: None,
            user_id: None,
            session_id: None,
            from: None,
            to: None,
            received_from: None,
            received_to: None,
            sort: EventSort::default(),
            after: None,
            limit: DEFAULT_PAGE_EVENTS,
        }
    }
}

impl EventQuery {
    /// Returns whether an event passes all filters. The position and the limit are no filters.
    #[must_use]
    pub fn matches(&self, event: &StoredEvent) -> bool {
        let parts = &event.parts;
        is_wanted(&self.event_name, Some(&parts.event_name))
            && self.kind.is_none_or(|kind| kind == parts.kind)
            && is_wanted(&self.anonymous_id, parts.anonymous_id.as_deref())
            && is_wanted(&self.user_id, parts.user_id.as_deref())
            && is_wanted(&self.session_id, parts.session_id.as_deref())
            && self.from.is_none_or(|from| from <= parts.occurred_at)
            && self.to.is_none_or(|to| parts.occurred_at < to)
            && self.received_from.is_none_or(|from| from <= event.received_at)
            && self.received_to.is_none_or(|to| event.received_at < to)
    }
}

/// Returns whether a filter has the found value, or is not set.
fn is_wanted(filter: &Option<String>, found: Option<&str>) -> bool {
    filter.is_none() || filter.as_deref() == found
}

/// A page of events, made by a [`PageBuilder`].
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// In the order of the query.
    pub events: Vec<StoredEvent>,
    /// Start of the next page; `None` on the last page.
    pub next: Option<Position>,
}

/// Collects a page, up to its limit of events and [`crate::limits::MAX_PAGE_BYTES`].
///
/// A page has at least one event if there is any, so that cursors always advance.
#[derive(Debug)]
pub struct PageBuilder {
    sort: EventSort,
    events: PageItems<StoredEvent>,
}

impl PageBuilder {
    /// An empty page of up to `limit` events.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self::sorted(limit, EventSort::default())
    }

    /// An empty page of up to `limit` events in the order `sort`.
    #[must_use]
    pub fn sorted(limit: usize, sort: EventSort) -> Self {
        Self { sort, events: PageItems::new(limit) }
    }

    /// Adds the next event if the page has room for it. Returns whether it had: otherwise the page
    /// is complete, and `event` is the first of the next one.
    pub fn push(&mut self, event: StoredEvent) -> bool {
        let bytes = event.size_bytes();
        self.events.push(event, bytes)
    }

    /// Number of events so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether the page has no events yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of further events that fit, if they are as large as those so far on average.
    #[must_use]
    pub fn room(&self) -> usize {
        self.events.room()
    }

    /// The position of the last event so far.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.events.last().map(|event| self.sort.position_of(event))
    }

    /// Ends the page early: more events follow.
    #[must_use]
    pub fn cut(mut self) -> EventPage {
        self.events.cut();
        self.finish()
    }

    /// Ends the page. Its `next` is the last event shown, not the one that had no room: the next
    /// page starts strictly after it.
    #[must_use]
    pub fn finish(self) -> EventPage {
        let next = self.position().filter(|_| self.events.has_more());
        EventPage { events: self.events.into_items(), next }
    }
}

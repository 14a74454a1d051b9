//! Orders of events, and the cursors that belong to one of them.

use std::cmp::Ordering;
use std::fmt;

use serde::Serialize;

use super::position::{CURSOR_VERSION, CursorError, Position, VersionedPosition};
use crate::event::StoredEvent;
use crate::ids::EventKey;

/// The time that orders events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventOrder {
    /// The time of the event.
    #[default]
    Occurred,
    /// The time of receipt.
    Received,
}

impl EventOrder {
    /// Every order.
    pub const ALL: [Self; 2] = [Self::Occurred, Self::Received];

    /// The order in a query string and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Occurred => "occurred",
            Self::Received => "received",
        }
    }

    /// The reverse of [`EventOrder::as_str`].
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == text)
    }
}

/// The direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Direction {
    /// Newest first.
    #[default]
    #[serde(rename = "desc")]
    Descending,
    /// Oldest first.
    #[serde(rename = "asc")]
    Ascending,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Self; 2] = [Self::Descending, Self::Ascending];

    /// The direction in a query string and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Descending => "desc",
            Self::Ascending => "asc",
        }
    }

    /// The reverse of [`Direction::as_str`].
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|direction| direction.as_str() == text)
    }
}

/// A total order of events: by a time, then by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EventSort {
    /// Primary sort key.
    pub order: EventOrder,
    /// Of the time and of the key.
    pub direction: Direction,
}

/// The first byte of a cursor, by order. Feed cursors begin with 2.
const VERSIONS: [(u8, EventSort); 4] = [
    (CURSOR_VERSION, sort(EventOrder::Occurred, Direction::Descending)),
    (3, sort(EventOrder::Occurred, Direction::Ascending)),
    (4, sort(EventOrder::Received, Direction::Descending)),
    (5, sort(EventOrder::Received, Direction::Ascending)),
];

const fn sort(order: EventOrder, direction: Direction) -> EventSort {
    EventSort { order, direction }
}

/// Why a cursor does not fit a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventCursorError {
    /// The text is no cursor.
    #[error(transparent)]
    Malformed(#[from] CursorError),
    /// The page before had another order.
    #[error("of {cursor}, but this query has {query}: keep both for every page")]
    OtherSort {
        /// The order of the page before.
        cursor: EventSort,
        /// The order of the query.
        query: EventSort,
    },
}

impl EventSort {
    /// Returns the position of an event in this order.
    #[must_use]
    pub fn position_of(self, event: &StoredEvent) -> Position {
        let time = match self.order {
            EventOrder::Occurred => event.parts.occurred_at,
            EventOrder::Received => event.received_at,
        };
        Position { occurred_at: time, key: EventKey::of(&event.parts.event_id) }
    }

    /// Compares two positions of this order: the lesser comes first.
    #[must_use]
    pub fn compare(self, one: &Position, other: &Position) -> Ordering {
        match self.direction {
            Direction::Ascending => one.cmp(other),
            Direction::Descending => other.cmp(one),
        }
    }

    /// Encodes a position as an opaque text for clients. It holds the order too.
    #[must_use]
    pub fn cursor(self, position: Position) -> String {
        let version = VERSIONS.iter().find(|(_, sort)| *sort == self);
        debug_assert!(version.is_some(), "every order has a version");
        let version = version.map_or(CURSOR_VERSION, |(version, _)| *version);
        VersionedPosition { version, position }.to_cursor()
    }

    /// Decodes a cursor of this order. A cursor holds no tenant, so another tenant's cursor only
    /// selects a position in the caller's own events.
    ///
    /// # Errors
    /// [`EventCursorError`] unless [`EventSort::cursor`] of the same order produced the text.
    pub fn position(self, cursor: &str) -> Result<Position, EventCursorError> {
        let VersionedPosition { version, position } = VersionedPosition::from_cursor(cursor)?;
        match VERSIONS.iter().find(|(known, _)| *known == version) {
            Some((_, sort)) if *sort == self => Ok(position),
            Some((_, sort)) => Err(EventCursorError::OtherSort { cursor: *sort, query: self }),
            None => Err(CursorError.into()),
        }
    }
}

impl fmt::Display for EventSort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order={} and direction={}", self.order.as_str(), self.direction.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::clock::Timestamp;

    fn sorts() -> impl Iterator<Item = EventSort> {
        VERSIONS.into_iter().map(|(_, sort)| sort)
    }

    proptest! {
        #[test]
        fn cursor_round_trips_in_its_order_alone(micros in 0..1_i64 << 56, key: u128) {
            let occurred_at = Timestamp::from_micros(micros).unwrap();
            let position = Position { occurred_at, key: EventKey(Uuid::from_u128(key)) };
            for cursor in sorts() {
                for query in sorts() {
                    let expected = if cursor == query {
                        Ok(position)
                    } else {
                        Err(EventCursorError::OtherSort { cursor, query })
                    };
                    prop_assert_eq!(query.position(&cursor.cursor(position)), expected);
                }
            }
        }

        #[test]
        fn cursor_from_any_text_does_not_panic(text in ".{0,60}") {
            EventSort::default().position(&text).ok();
        }
    }

    #[test]
    fn cursor_of_the_default_order_is_that_of_older_releases() {
        let occurred_at = Timestamp::from_micros(7).unwrap();
        let position = Position { occurred_at, key: EventKey(Uuid::nil()) };
        assert_eq!(EventSort::default().cursor(position), position.to_cursor());
    }

    #[test]
    fn cursor_of_the_feed_or_an_unknown_version_is_malformed() {
        for version in [0, 2, 6, 255] {
            let occurred_at = Timestamp::from_micros(7).unwrap();
            let position = Position { occurred_at, key: EventKey(Uuid::nil()) };
            let cursor = VersionedPosition { version, position }.to_cursor();
            let result = EventSort::default().position(&cursor);
            assert_eq!(result, Err(EventCursorError::Malformed(CursorError)), "{version}");
        }
    }

    #[test]
    fn names_round_trip() {
        assert!(EventOrder::ALL.iter().all(|it| EventOrder::from_text(it.as_str()) == Some(*it)));
        assert!(Direction::ALL.iter().all(|it| Direction::from_text(it.as_str()) == Some(*it)));
        assert_eq!((EventOrder::from_text("Occurred"), Direction::from_text("up")), (None, None));
    }
}

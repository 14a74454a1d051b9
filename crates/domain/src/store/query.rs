//! What a reader of events can ask for, and the cursor by which pages hang together.
//!
//! Pages go down the total order of `(occurred_at, key)`. A page begins strictly below the last event of the one before,
//! so that every event that was there when the first page was read is seen exactly once, whatever arrives in between.

use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::event::{EventType, StoredEvent};
use crate::ids::EventKey;
use crate::limits::DEFAULT_PAGE_EVENTS;

/// Which events of a workspace to read. Every filter that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Events of exactly this name.
    pub event_name: Option<String>,
    /// Events of this type.
    pub kind: Option<EventType>,
    /// Events of exactly this `anonymous_id`.
    pub anonymous_id: Option<String>,
    /// Events of exactly this `user_id`.
    pub user_id: Option<String>,
    /// Events of exactly this `session_id`.
    pub session_id: Option<String>,
    /// Events that happened then or later.
    pub from: Option<Timestamp>,
    /// Events that happened before.
    pub to: Option<Timestamp>,
    /// Events strictly below this place in the order.
    pub after: Option<Position>,
    /// How many events at most: 1 to [`crate::limits::MAX_PAGE_EVENTS`].
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
            after: None,
            limit: DEFAULT_PAGE_EVENTS,
        }
    }
}

/// A place in the order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// When the event there happened.
    pub occurred_at: Timestamp,
    /// Its key.
    pub key: EventKey,
}

/// A text is no cursor that this service gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this service")]
pub struct CursorError;

/// The first byte of a cursor: which layout follows.
const CURSOR_FORM: u8 = 1;
const CURSOR_BYTES: usize = 1 + 8 + 16;

impl Position {
    /// The place as an opaque text for clients.
    #[must_use]
    pub fn to_cursor(self) -> String {
        let mut bytes = [0; CURSOR_BYTES];
        bytes[0] = CURSOR_FORM;
        bytes[1..9].copy_from_slice(&self.occurred_at.as_micros().to_be_bytes());
        bytes[9..].copy_from_slice(self.key.0.as_bytes());
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The place of a cursor. It holds no tenant: a foreign cursor is only a place in one's own events.
    ///
    /// # Errors
    /// [`CursorError`] for a text that [`Position::to_cursor`] does not make.
    pub fn from_cursor(cursor: &str) -> Result<Self, CursorError> {
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| CursorError)?;
        let (form, rest) = bytes.split_first().ok_or(CursorError)?;
        let (micros, key) = rest.split_first_chunk::<8>().ok_or(CursorError)?;
        let key: [u8; 16] = key.try_into().map_err(|_| CursorError)?;
        let occurred_at = Timestamp::from_micros(i64::from_be_bytes(*micros)).ok_or(CursorError)?;
        if *form != CURSOR_FORM {
            return Err(CursorError);
        }
        Ok(Self { occurred_at, key: EventKey(Uuid::from_bytes(key)) })
    }
}

/// A page of events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The events, newest first.
    pub events: Vec<StoredEvent>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Position>,
}

impl EventPage {
    /// A page from up to `limit + 1` events: the one too many tells that there is a next page.
    #[must_use]
    pub fn from_overfull(mut events: Vec<StoredEvent>, limit: usize) -> Self {
        let more = events.len() > limit;
        events.truncate(limit);
        let last = events.last().filter(|_| more);
        let next = last.map(|event| Position {
            occurred_at: event.parts.occurred_at,
            key: EventKey::of(&event.parts.event_id),
        });
        Self { events, next }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back(micros in -62_000_000_000_000_000_i64..253_000_000_000_000_000, key: u128) {
            let position = Position {
                occurred_at: Timestamp::from_micros(micros).unwrap(),
                key: EventKey(Uuid::from_u128(key)),
            };
            prop_assert_eq!(Position::from_cursor(&position.to_cursor()), Ok(position));
        }

        #[test]
        fn no_text_makes_reading_a_cursor_panic(text in ".{0,60}") {
            Position::from_cursor(&text).ok();
        }
    }

    #[test]
    fn what_was_not_given_out_is_refused() {
        let position = Position {
            occurred_at: Timestamp::from_micros(0).unwrap(),
            key: EventKey(Uuid::nil()),
        };
        let cursor = position.to_cursor();
        for text in
            ["", "x", "AAAA", &cursor[1..], &format!("{cursor}A"), &cursor.replacen('A', "C", 1)]
        {
            assert_eq!(Position::from_cursor(text), Err(CursorError), "{text}");
        }
        // Times that no event has, beyond those that PostgreSQL knows among them.
        for micros in [
            i64::MIN,
            -210_866_803_200_000_001,
            -62_167_219_200_000_001,
            253_402_300_800_000_000,
            i64::MAX,
        ] {
            let mut bytes = [0; CURSOR_BYTES];
            bytes[0] = CURSOR_FORM;
            bytes[1..9].copy_from_slice(&micros.to_be_bytes());
            assert_eq!(
                Position::from_cursor(&BASE64URL_NOPAD.encode(&bytes)),
                Err(CursorError),
                "{micros}"
            );
        }
    }
}

//! Positions between two rows of an order, and their form as a cursor.

use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::EventKey;

/// A position in the order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Primary sort key: the time of the event, or that of receipt in an order of receipt.
    pub occurred_at: Timestamp,
    /// Secondary sort key; makes the order total.
    pub key: EventKey,
}

/// The text is not a cursor issued by this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this service: pass `next_cursor` of the page before, unchanged")]
pub struct CursorError;

/// First byte of a cursor: the version of its layout.
pub(super) const CURSOR_VERSION: u8 = 1;
// Version, microseconds, key.
const CURSOR_BYTES: usize = 1 + 8 + 16;

/// A position, and the first byte of its cursor.
pub(super) struct VersionedPosition {
    pub(super) version: u8,
    pub(super) position: Position,
}

impl VersionedPosition {
    pub(super) fn to_cursor(&self) -> String {
        let Position { occurred_at, key } = self.position;
        let mut bytes = [0; CURSOR_BYTES];
        bytes[0] = self.version;
        // Big-endian on every machine: another server may read the cursor.
        bytes[1..9].copy_from_slice(&occurred_at.as_micros().to_be_bytes());
        bytes[9..].copy_from_slice(key.0.as_bytes());
        BASE64URL_NOPAD.encode(&bytes)
    }

    pub(super) fn from_cursor(cursor: &str) -> Result<Self, CursorError> {
        // Strict: it also refuses bits left over in the last character, so a cursor has one
        // spelling.
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| CursorError)?;
        let (version, rest) = bytes.split_first().ok_or(CursorError)?;
        let (micros, key) = rest.split_first_chunk::<8>().ok_or(CursorError)?;
        let key: [u8; 16] = key.try_into().map_err(|_| CursorError)?;
        let occurred_at = Timestamp::from_micros(i64::from_be_bytes(*micros)).ok_or(CursorError)?;
        let position = Position { occurred_at, key: EventKey(Uuid::from_bytes(key)) };
        Ok(Self { version: *version, position })
    }
}

/// First byte of a cursor of rejected events, so that one of events is refused there.
const REJECTIONS_VERSION: u8 = 9;

impl Position {
    /// Encodes the position of a rejected event as an opaque text for clients.
    #[must_use]
    pub fn to_rejections_cursor(self) -> String {
        VersionedPosition { version: REJECTIONS_VERSION, position: self }.to_cursor()
    }

    /// Decodes a cursor of rejected events.
    ///
    /// # Errors
    /// [`CursorError`] unless [`Position::to_rejections_cursor`] produced the text.
    pub fn from_rejections_cursor(cursor: &str) -> Result<Self, CursorError> {
        let VersionedPosition { version, position } = VersionedPosition::from_cursor(cursor)?;
        if version == REJECTIONS_VERSION { Ok(position) } else { Err(CursorError) }
    }

    /// Encodes the position as an opaque text for clients.
    #[must_use]
    pub fn to_cursor(self) -> String {
        VersionedPosition { version: CURSOR_VERSION, position: self }.to_cursor()
    }

    /// Decodes a cursor. A cursor holds no tenant, so another tenant's cursor only selects a
    /// position in the caller's own events.
    ///
    /// # Errors
    /// [`CursorError`] unless [`Position::to_cursor`] produced the text.
    pub fn from_cursor(cursor: &str) -> Result<Self, CursorError> {
        let VersionedPosition { version, position } = VersionedPosition::from_cursor(cursor)?;
        if version == CURSOR_VERSION { Ok(position) } else { Err(CursorError) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        // Within the years 0000 to 9999, the range of a timestamp.
        fn cursor_round_trips(micros in -62_000_000_000_000_000_i64..253_000_000_000_000_000, key: u128) {
            let position = Position {
                occurred_at: Timestamp::from_micros(micros).unwrap(),
                key: EventKey(Uuid::from_u128(key)),
            };
            prop_assert_eq!(Position::from_cursor(&position.to_cursor()), Ok(position));
        }

        #[test]
        fn cursor_from_any_text_does_not_panic(text in ".{0,60}") {
            Position::from_cursor(&text).ok();
        }
    }

    #[test]
    fn cursor_not_issued_here_is_refused() {
        let position = Position {
            occurred_at: Timestamp::from_micros(0).unwrap(),
            key: EventKey(Uuid::nil()),
        };
        let cursor = position.to_cursor();
        for text in
            // Empty, not base 64, too short, cut at the front, too long, and of another version.
            [
                "",
                "x",
                "AAAA",
                &cursor[1..],
                &format!("{cursor}A"),
                &cursor.replacen('A', "C", 1),
            ]
        {
            assert_eq!(Position::from_cursor(text), Err(CursorError), "{text}");
        }
        // Times outside the supported range, some beyond PostgreSQL's own.
        for micros in [
            i64::MIN,
            -210_866_803_200_000_001,
            -62_167_219_200_000_001,
            253_402_300_800_000_000,
            i64::MAX,
        ] {
            let mut bytes = [0; CURSOR_BYTES];
            bytes[0] = CURSOR_VERSION;
            bytes[1..9].copy_from_slice(&micros.to_be_bytes());
            assert_eq!(
                Position::from_cursor(&BASE64URL_NOPAD.encode(&bytes)),
                Err(CursorError),
                "{micros}"
            );
        }
    }
}

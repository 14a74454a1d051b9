//! The feed: every stored event of a workspace once, in the order of commits.
//!
//! A store gives each transaction that stores events a position: later transactions have higher
//! ones. But transactions commit in another order than they begin. So a cursor holds, next to the
//! highest position it has passed, the lower ones that were still open then. A page first reads
//! those that have committed since. No event is skipped, and a transaction left open delays only its
//! own events.

use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use super::StoreError;
use crate::clock::Timestamp;
use crate::event::StoredEvent;
use crate::ids::{EventKey, Owner, WorkspaceId};
use crate::limits::DEFAULT_PAGE_EVENTS;

/// Maximum open positions in a cursor. With more of them, a page ends before the first it has no
/// room for.
pub const MAX_OPEN_POSITIONS: usize = 128;

/// Reads the feed, and keeps the cursors of its consumers.
///
/// # Errors
/// Every method returns [`StoreError`] if the database fails.
pub trait Feed: Send + Sync {
    /// Returns a page of the feed of a workspace, oldest commit first.
    ///
    /// # Errors
    /// [`FeedError::Cursor`] for a cursor that does not belong to this feed, [`StoreError::TimedOut`]
    /// if it takes longer than the store's time limit.
    fn feed(&self, owner: Owner, query: &FeedQuery) -> Result<FeedPage, FeedError>;

    /// Returns the cursor that a named consumer of the workspace stored last.
    fn consumer_cursor(&self, owner: Owner, name: &str) -> Result<Option<FeedCursor>, StoreError>;

    /// Replaces the cursor of a named consumer, if it is still `before`. Returns whether it was:
    /// otherwise another process consumes under this name.
    fn advance_consumer(
        &self,
        owner: Owner,
        name: &str,
        before: Option<&FeedCursor>,
        after: &FeedCursor,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
}

/// Selects a page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedQuery {
    /// Start of the page.
    pub start: FeedStart,
    /// Page size, 1 to [`crate::limits::MAX_PAGE_EVENTS`].
    pub limit: usize,
}

impl Default for FeedQuery {
    fn default() -> Self {
        Self { start: FeedStart::Oldest, limit: DEFAULT_PAGE_EVENTS }
    }
}

/// Start of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedStart {
    /// The oldest event of the workspace.
    Oldest,
    /// The first event that commits from now on. The page is empty.
    Now,
    /// After the page with this `next`.
    After(FeedCursor),
}

/// A page of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage {
    /// Oldest commit first.
    pub events: Vec<StoredEvent>,
    /// The cursor after each event, for a consumer that may stop within the page.
    pub cursors: Vec<FeedCursor>,
    /// Start of the next page. There always is one: the feed has no end.
    pub next: FeedCursor,
    /// Whether the page reaches the newest event. The next page is empty until another commits.
    pub is_newest: bool,
}

/// Why a page of the feed could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The cursor does not belong to this feed.
    #[error(transparent)]
    Cursor(#[from] FeedCursorError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a cursor does not belong to a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeedCursorError {
    /// No feed returned this text.
    #[error("not a cursor of this service: pass `next` of the page before, unchanged")]
    Malformed,
    /// It belongs to another workspace.
    #[error("a cursor of another workspace: each workspace has its own feed")]
    OtherWorkspace,
    /// The database it points into was replaced by an older copy.
    #[error(
        "a cursor of a database that was replaced, such as by its backup: start again without a cursor"
    )]
    Replaced,
}

/// A position in the feed of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedCursor {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The highest position passed; -1 before the first.
    pub last: i64,
    /// A random number of the era of `last`.
    pub token: u32,
    /// Lower positions that are still to be read, in ascending order.
    pub open: Vec<i64>,
    /// A position read in part.
    pub partial: Option<PartialPosition>,
}

/// A position read in part, because a page ended within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialPosition {
    /// The position.
    pub position: i64,
    /// The last key read. Events of one position are in the order of their keys.
    pub key: EventKey,
}

/// First byte of a cursor: the version of its layout. Differs from that of
/// [`Position`](super::Position).
const VERSION: u8 = 2;

impl FeedCursor {
    /// The start of the feed of a workspace.
    #[must_use]
    pub fn oldest(workspace_id: WorkspaceId) -> Self {
        Self { workspace_id, last: -1, token: 0, open: Vec::new(), partial: None }
    }

    /// Encodes the cursor as an opaque text.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Big-endian on every machine: another server may read the cursor.
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.workspace_id.0.to_be_bytes());
        bytes.extend_from_slice(&self.token.to_be_bytes());
        bytes.extend_from_slice(&self.last.to_be_bytes());
        bytes.push(u8::from(self.partial.is_some()));
        if let Some(PartialPosition { position, key }) = self.partial {
            bytes.extend_from_slice(&position.to_be_bytes());
            bytes.extend_from_slice(key.0.as_bytes());
        }
        for position in &self.open {
            bytes.extend_from_slice(&position.to_be_bytes());
        }
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Decodes a cursor.
    ///
    /// # Errors
    /// [`FeedCursorError::Malformed`] unless [`FeedCursor::to_text`] may have produced the text.
    pub fn from_text(text: &str) -> Result<Self, FeedCursorError> {
        const MALFORMED: FeedCursorError = FeedCursorError::Malformed;
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| MALFORMED)?;
        let mut rest = bytes.as_slice();
        let [VERSION] = take(&mut rest)? else { return Err(MALFORMED) };
        let workspace_id = WorkspaceId(i64::from_be_bytes(take(&mut rest)?));
        let token = u32::from_be_bytes(take(&mut rest)?);
        let last = i64::from_be_bytes(take(&mut rest)?);
        let partial = match take(&mut rest)? {
            [0] => None,
            [1] => {
                let position = i64::from_be_bytes(take(&mut rest)?);
                let key = EventKey(Uuid::from_bytes(take(&mut rest)?));
                Some(PartialPosition { position, key })
            }
            _ => return Err(MALFORMED),
        };
        let mut open = Vec::new();
        while !rest.is_empty() {
            open.push(i64::from_be_bytes(take(&mut rest)?));
        }
        let is_valid = last >= -1
            && open.len() <= MAX_OPEN_POSITIONS
            && open.is_sorted_by(|one, next| one < next)
            && open.iter().all(|position| (0..last).contains(position))
            && partial.is_none_or(|partial| (0..=last).contains(&partial.position));
        if is_valid {
            Ok(Self { workspace_id, last, token, open, partial })
        } else {
            Err(MALFORMED)
        }
    }
}

/// Takes the first bytes of `rest`.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], FeedCursorError> {
    let (taken, left) = rest.split_first_chunk().ok_or(FeedCursorError::Malformed)?;
    *rest = left;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn cursors() -> impl Strategy<Value = FeedCursor> {
        let partial = proptest::option::of((0..=1_i64 << 60, any::<u128>()));
        let open = btree_set(0..1_i64 << 60, 0..=MAX_OPEN_POSITIONS);
        (any::<i64>(), any::<u32>(), open, partial).prop_map(|(workspace, token, open, partial)| {
            FeedCursor {
                workspace_id: WorkspaceId(workspace),
                last: 1 << 60,
                token,
                open: open.into_iter().collect(),
                partial: partial.map(|(position, key)| PartialPosition {
                    position,
                    key: EventKey(Uuid::from_u128(key)),
                }),
            }
        })
    }

    proptest! {
        #[test]
        fn cursor_round_trips(cursor in cursors()) {
            prop_assert_eq!(FeedCursor::from_text(&cursor.to_text()), Ok(cursor));
        }

        #[test]
        fn cursor_from_any_text_does_not_panic(text in ".{0,60}") {
            FeedCursor::from_text(&text).ok();
        }
    }

    #[test]
    fn cursor_not_issued_here_is_refused() {
        let cursor = FeedCursor { last: 9, open: vec![3, 4], ..FeedCursor::oldest(WorkspaceId(1)) };
        assert_eq!(FeedCursor::from_text(&cursor.to_text()), Ok(cursor.clone()));
        let text = cursor.to_text();
        for text in ["", "x", "AAAA", &text[1..], &text[..20], &format!("{text}A")] {
            assert_eq!(FeedCursor::from_text(text), Err(FeedCursorError::Malformed), "{text}");
        }
        let key = EventKey(Uuid::nil());
        for wrong in [
            FeedCursor { last: -2, open: Vec::new(), ..cursor.clone() },
            FeedCursor { open: vec![4, 3], ..cursor.clone() },
            FeedCursor { open: vec![9], ..cursor.clone() },
            FeedCursor { open: vec![-1], ..cursor.clone() },
            FeedCursor { last: 1 << 40, open: (0..129).collect(), ..cursor.clone() },
            FeedCursor { partial: Some(PartialPosition { position: 10, key }), ..cursor },
        ] {
            let text = wrong.to_text();
            assert_eq!(FeedCursor::from_text(&text), Err(FeedCursorError::Malformed), "{wrong:?}");
        }
    }
}

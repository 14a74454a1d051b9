//! The start of a removal's step, and its cursor.

use mercurio_domain::store::RemovalCursor;
use uuid::Uuid;

/// The cursor of [`RemovalPosition::Counts`].
const COUNTS: &str = "counts";

/// The start of a step.
///
/// A step starts after the rows removed before it. Those stay as dead rows until a vacuum, and a
/// scan from the beginning would pass over all of them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RemovalPosition {
    /// An index entry of a partition.
    Partition { name: String, entry: IndexEntry },
    /// A key.
    Key(KeyEntry),
    /// The counts of a deleted tenant or workspace.
    Counts,
}

/// An entry of the index on time, within a tenant. Times are in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) workspace_id: i64,
    pub(super) occurred_at: i64,
}

/// An entry of the primary key of `event_keys`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyEntry {
    pub(super) tenant_id: i64,
    pub(super) key: Uuid,
}

impl IndexEntry {
    pub(super) const FIRST: Self = Self { workspace_id: i64::MIN, occurred_at: i64::MIN };
}

impl KeyEntry {
    pub(super) const FIRST: Self = Self { tenant_id: i64::MIN, key: Uuid::nil() };
}

impl RemovalPosition {
    pub(super) fn start_of(partition: String) -> Self {
        Self::Partition { name: partition, entry: IndexEntry::FIRST }
    }

    /// Reads a cursor. One that it can't read restarts the removal.
    ///
    /// A cursor is [`COUNTS`], or a partition's name (empty for keys) and two values, separated by
    /// spaces.
    pub(super) fn decode(cursor: Option<&RemovalCursor>) -> Self {
        // No partition's name sorts before the empty one.
        cursor.and_then(Self::parse).unwrap_or_else(|| Self::start_of(String::new()))
    }

    fn parse(cursor: &RemovalCursor) -> Option<Self> {
        if cursor.0 == COUNTS {
            return Some(Self::Counts);
        }
        // From the right: a quoted partition's name may contain spaces.
        let mut words = cursor.0.rsplitn(3, ' ');
        let (last, middle, first) = (words.next()?, words.next()?, words.next()?);
        if first.is_empty() {
            let (tenant_id, key) = (middle.parse().ok()?, last.parse().ok()?);
            return Some(Self::Key(KeyEntry { tenant_id, key }));
        }
        let (workspace_id, occurred_at) = (middle.parse().ok()?, last.parse().ok()?);
        let entry = IndexEntry { workspace_id, occurred_at };
        Some(Self::Partition { name: first.to_owned(), entry })
    }

    pub(super) fn encode(&self) -> RemovalCursor {
        RemovalCursor(match self {
            Self::Partition { name, entry: IndexEntry { workspace_id, occurred_at } } => {
                format!("{name} {workspace_id} {occurred_at}")
            }
            Self::Key(KeyEntry { tenant_id, key }) => format!(" {tenant_id} {key}"),
            Self::Counts => COUNTS.to_owned(),
        })
    }
}

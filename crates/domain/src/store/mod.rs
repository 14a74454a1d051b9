//! The ports of the store: what the rest of the house asks of a database, and nothing of how it is done.
//!
//! Methods are coarse, synchronous and object-safe; they block, so that async callers run them on threads meant for that.
//! Each implementation passes the same suite of contract tests.

mod catalog;
mod counts;
mod error;
mod housekeeping;
mod query;
mod retention;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::event::{EnrichedEvent, StoredEvent};
use crate::ids::{EventId, Owner};
use crate::verdict::Outcome;

pub use catalog::{
    Catalog, CatalogChange, CatalogWatch, CreateError, KeyRequest, Provisioned, Provisioning,
    TenantRef,
};
pub use counts::{CountQuery, EventCount, EventCounts};
pub use error::StoreError;
pub use housekeeping::{
    Housekeeping, KEY_DAYS, Lease, LeaseKind, Person, Place, Removal, Removed, TenantRows,
};
pub use query::{CursorError, EventPage, EventQuery, Position};
pub use retention::due_removals;

/// Which database stands behind a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Backend {
    /// The memory of the process; for tests.
    Memory,
    /// SQLite, in a file.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Backend {
    /// The backend as it stands in JSON and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the database's schema stands to the one that this program was built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// They are the same.
    Current,
    /// The database lacks these migrations, oldest first.
    Older(Vec<String>),
    /// The database has these migrations that this program does not know, and all that this program uses is as it knows it: a newer
    /// release has been here, and both may work.
    Compatible(Vec<String>),
    /// The database has migrations that this program does not know, and must not work with.
    Newer(Vec<String>),
}

impl SchemaState {
    /// Whether a program may work with it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        matches!(self, Self::Current | Self::Compatible(_))
    }

    /// The migrations that make the difference, oldest first.
    #[must_use]
    pub fn migrations(&self) -> &[String] {
        match self {
            Self::Current => &[],
            Self::Older(migrations) | Self::Compatible(migrations) | Self::Newer(migrations) => {
                migrations
            }
        }
    }
}

/// A migration needs a lock that others hold, and has given way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockWait {
    /// How often it was tried so far.
    pub tries: u32,
    /// For how long it will be tried still.
    pub left: Duration,
    /// The transactions that have been open the longest, by their process at the database, and for how long.
    pub open: Vec<(i32, Duration)>,
}

impl fmt::Display for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tries, left, open } = self;
        let left = left.as_secs();
        write!(
            f,
            "the migration needs a lock that others hold; try {tries} gave way to them, {left} s are left"
        )?;
        for (number, (pid, age)) in open.iter().enumerate() {
            let before = if number == 0 { "; transactions are open in the processes" } else { "," };
            write!(f, "{before} {pid} (for {} s)", age.as_secs())?;
        }
        Ok(())
    }
}

/// The valid events of one request.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Whose they are.
    pub owner: Owner,
    /// When the request came.
    pub received_at: Timestamp,
    /// The events, in the order of the request.
    pub events: Vec<EnrichedEvent>,
}

impl Submission {
    /// About how many bytes the events take, on their way to the database or in memory, whichever is more: an event that is
    /// a slice of a large body keeps all of it.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let sum = self.events.iter().map(EnrichedEvent::size_bytes).sum();
        self.events.iter().map(EnrichedEvent::source_bytes).fold(sum, usize::max)
    }
}

/// How the groups of a store were written, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppendCounts {
    /// Groups that were committed.
    pub groups: u64,
    /// Events whose keys the store took for stored before it asked the database. They cost nothing more than others.
    pub suspects: u64,
    /// Groups that a store tried to write the fast way and then had to write the sure way, because the database knew of a
    /// duplicate of which the store did not, or because another writer stood in the way.
    pub fallbacks: u64,
    /// Transactions that write and were begun again, since another stood in their way or the connection was lost before.
    pub retries: u64,
}

/// How many connections a store has for a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLoad {
    /// What they are for: `read` or `write`.
    pub pool: &'static str,
    /// Connections that wait for use.
    pub idle: u32,
    /// Connections in use.
    pub busy: u32,
}

/// The write side that the pipeline needs.
pub trait EventWriter: Send + Sync {
    /// Stores the events of a group of submissions in one transaction, each event once for each `(tenant_id, event_id)`.
    ///
    /// Returns the outcomes by submission and event, after the commit. Within the group the first of two events with one
    /// id, in the order given, is accepted. An event that was there before is no error. May be repeated after any failure.
    ///
    /// The same transaction counts the events that it stores (see [`EventCounts`]).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing is known of the group, it may or may not be stored.
    /// [`StoreError::Refused`] and [`StoreError::Internal`]: nothing of the group is stored.
    fn append(&self, group: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError>;

    /// How the groups were written. A store that has one way alone counts nothing.
    fn append_counts(&self) -> AppendCounts {
        AppendCounts::default()
    }

    /// Whether the database answers now, within a short time, and takes what is written, as far as can be told without writing.
    ///
    /// # Errors
    /// Why it does not.
    fn ping(&self) -> Result<(), StoreError>;

    /// Whether the database takes what is written, found out by writing where nothing stays. For whoever has seen a write fail: it
    /// costs more than [`Self::ping`], which alone is asked where a store has no better way.
    ///
    /// # Errors
    /// Why it does not.
    fn probe(&self) -> Result<(), StoreError> {
        self.ping()
    }
}

/// Everything that is asked of a database.
pub trait Store: EventWriter + EventCounts + Catalog + Housekeeping {
    /// Which database it is.
    fn backend(&self) -> Backend;

    /// The connections it has now. A store without any has none to tell of.
    fn connections(&self) -> Vec<PoolLoad> {
        Vec::new()
    }

    /// Bytes that are free where the database's file lies; `None` where it has no file here. Asks the file system.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// How the database's schema stands to this program's.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not say.
    fn schema_state(&self) -> Result<SchemaState, StoreError>;

    /// Brings the database's schema to this program's and returns the names of the migrations that ran, oldest first. Safe
    /// to call from many processes at once: one works, the others wait and find nothing to do.
    ///
    /// Where others hold locks that a migration needs, it gives way to those who write and tries again for a while; `tell` hears of it each
    /// time.
    ///
    /// # Errors
    /// [`StoreError`]; the migrations before the one that failed stay.
    fn migrate_telling(&self, tell: &mut dyn FnMut(&LockWait)) -> Result<Vec<String>, StoreError>;

    /// [`Self::migrate_telling`], and nobody is told.
    ///
    /// # Errors
    /// The same.
    fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.migrate_telling(&mut |_| ())
    }

    /// Takes the newest migration back, with what only it had a place for, and returns its name. `None`: there is none left. Only
    /// of a migration that this program knows. `tell` as with [`Self::migrate_telling`].
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed then.
    fn revert_telling(&self, tell: &mut dyn FnMut(&LockWait))
    -> Result<Option<String>, StoreError>;

    /// [`Self::revert_telling`], and nobody is told.
    ///
    /// # Errors
    /// The same.
    fn revert(&self) -> Result<Option<String>, StoreError> {
        self.revert_telling(&mut |_| ())
    }

    /// The event of that id, if the workspace has it.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not say.
    fn event(&self, owner: Owner, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError>;

    /// A page of the workspace's events, newest first by `(occurred_at, key)`.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not say.
    fn events(&self, owner: Owner, query: &EventQuery) -> Result<EventPage, StoreError>;
}

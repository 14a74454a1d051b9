//! The store traits: every operation that other crates need from a database.
//!
//! Methods are coarse, object-safe and blocking; async callers run them on blocking threads. One
//! contract test suite runs against every implementation.

mod audit;
mod catalog;
mod counts;
mod error;
mod feed;
mod housekeeping;
mod page_items;
mod position;
mod privileges;
mod query;
mod rejected_event;
mod rejection_page;
mod rejection_person;
mod rejections;
mod retention;
mod sort;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::event::{EnrichedEvent, StoredEvent};
use crate::ids::{EventId, Owner};
use crate::verdict::Outcome;

pub use audit::{Actor, AuditEntry, AuditLog, AuditOutcome, AuditRecord};
pub use catalog::{
    Catalog, CatalogChange, CatalogListener, CreateError, KeyDetails, KeyRequest, KeySelection,
    Provisioned, Provisioning, TenantDetails, TenantRef,
};
pub use counts::{CountQuery, EventCount, EventCounts};
pub use error::StoreError;
pub use feed::{
    Feed, FeedCursor, FeedCursorError, FeedError, FeedPage, FeedQuery, FeedStart,
    MAX_OPEN_POSITIONS, PartialPosition,
};
pub use housekeeping::{
    DeletedRows, Deletion, Housekeeping, KEY_DAYS, Lease, LeaseKind, Person, Removal,
    RemovalCounts, RemovalCursor, Removed,
};
pub use position::{CursorError, Position};
pub use privileges::{Privileges, RowSecurity};
pub use query::{EventPage, EventQuery, PageBuilder};
pub use rejected_event::RejectedEvent;
pub use rejection_page::{RejectionPage, RejectionPageBuilder};
pub use rejection_person::mentions;
pub use rejections::{
    ExpiredRejections, MAX_GROUP_TEXT_BYTES, RejectionBatch, RejectionCount, RejectionCountQuery,
    RejectionGroup, RejectionKind, RejectionQuery, RejectionTotal, Rejections,
};
pub use retention::{TenantRetention, due_removals, rejections_expire_before};
pub use sort::{Direction, EventCursorError, EventOrder, EventSort};

/// The kind of database behind a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Backend {
    /// In-process memory, for tests.
    Memory,
    /// A SQLite file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

impl Backend {
    /// The name in JSON and logs.
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

/// The database's schema compared with the one this program was built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Both are the same.
    Current,
    /// The database lacks these migrations.
    Older(Vec<String>),
    /// A newer release applied these migrations, and this program may keep working: nothing it uses
    /// has changed.
    Compatible(Vec<String>),
    /// The database has these unknown migrations, and this program must not use it.
    Newer(Vec<String>),
}

impl SchemaState {
    /// Whether this program may use the database.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        matches!(self, Self::Current | Self::Compatible(_))
    }

    /// The migrations that differ, oldest first.
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

/// Progress report of a migration that waits for a table lock held by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockWait {
    /// Attempts so far.
    pub attempts: u32,
    /// Time left before the migration gives up.
    pub left: Duration,
    /// The oldest open transactions, which may hold the lock.
    pub open: Vec<OpenTransaction>,
}

/// A transaction open at the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The database's process id, as in `pg_stat_activity.pid`.
    pub pid: i32,
    /// Time since the transaction began.
    pub age: Duration,
}

impl fmt::Display for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempts, left, open } = self;
        let left = left.as_secs();
        write!(
            f,
            "the migration waits for a table lock: attempt {attempts} timed out, retrying for {left} s"
        )?;
        for (index, OpenTransaction { pid, age }) in open.iter().enumerate() {
            let before = if index == 0 { "; open transactions: pid" } else { ", pid" };
            write!(f, "{before} {pid} ({} s)", age.as_secs())?;
        }
        Ok(())
    }
}

/// The valid events of one request.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The tenant and workspace that sent it.
    pub owner: Owner,
    /// Time of receipt of the request.
    pub received_at: Timestamp,
    /// In the order of the request.
    pub events: Vec<EnrichedEvent>,
}

impl Submission {
    /// Approximate size in bytes: the larger of what is written and what is held in memory. An
    /// event that borrows from a large request body keeps the whole body alive.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let sum = self.events.iter().map(EnrichedEvent::size_bytes).sum();
        // The maximum: all events of a request share one body.
        self.events.iter().map(EnrichedEvent::source_bytes).fold(sum, usize::max)
    }
}

/// Counters of the write path since start-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AppendCounts {
    /// Groups committed.
    pub groups: u64,
    /// Events whose keys the store remembered, and so claimed instead of copied.
    pub likely_duplicates: u64,
    /// Groups rewritten by claiming every key, after copying the keys failed on an unexpected
    /// duplicate or a concurrent writer.
    pub fallbacks: u64,
    /// Write transactions retried after a conflict or on a new connection.
    pub retries: u64,
}

/// Maximum bytes of a text of [`Store::notify_tail`]. PostgreSQL's `NOTIFY` takes less than 8,000.
pub const MAX_TAIL_TEXT_BYTES: usize = 7_900;

/// Connection counts of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLoad {
    /// `read`, `write` or `system`.
    pub pool: &'static str,
    /// Connections not in use.
    pub idle: u32,
    /// Connections in use.
    pub busy: u32,
}

/// The write path.
///
/// # Errors
/// Every method returns [`StoreError`] if the database fails.
pub trait EventWriter: Send + Sync {
    /// Stores a group of submissions in one transaction, each `(tenant_id, event_id)` once.
    ///
    /// Returns after the commit, with outcomes by submission and event. The first of several events
    /// with one id, in the order given, is accepted; the others and those stored before are
    /// duplicates, which name another workspace if it holds the id. Safe to repeat after any error.
    ///
    /// The same transaction counts the stored events, see [`EventCounts`].
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] the group may or may not be stored. After any other error
    /// nothing of it is stored.
    fn append(&self, group: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError>;

    /// Counters of the write path. All zero for a store with a single way of writing.
    fn append_counts(&self) -> AppendCounts {
        AppendCounts::default()
    }

    /// Checks that the database answers and accepts writes, without writing.
    fn ping(&self) -> Result<(), StoreError>;

    /// Checks that the database accepts writes, by writing something it discards.
    ///
    /// Costs more than [`Self::ping`]; call it after a failed write. Defaults to `ping`.
    fn probe(&self) -> Result<(), StoreError> {
        self.ping()
    }
}

/// A database with all store operations.
///
/// # Errors
/// Every method returns [`StoreError`] if the database fails.
pub trait Store:
    EventWriter + EventCounts + Feed + Rejections + Catalog + Housekeeping + AuditLog
{
    /// The kind of database.
    fn backend(&self) -> Backend;

    /// Current connection counts by pool. Empty for a store without connections.
    fn connections(&self) -> Vec<PoolLoad> {
        Vec::new()
    }

    /// Free bytes on the disk of the database file; `None` for a store without a local file.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// Sends texts to the [`CatalogListener`]s of all servers, this one included. Each has at most
    /// [`MAX_TAIL_TEXT_BYTES`] and no U+0000. They are lost without a listener. A store of a single
    /// process sends none.
    fn notify_tail(&self, _texts: &[String]) -> Result<(), StoreError> {
        Ok(())
    }

    /// Compares the database's schema with this program's.
    fn schema_state(&self) -> Result<SchemaState, StoreError>;

    /// Returns the privileges of this program's role. A database without roles lacks none.
    fn privileges(&self) -> Result<Privileges, StoreError> {
        Ok(Privileges::default())
    }

    /// Applies all missing migrations and returns their names, oldest first.
    ///
    /// Safe to call from many processes at once: one migrates, the others wait and find nothing to
    /// do. A migration that cannot get a table lock yields to writers and is retried for a while;
    /// `report` is called before each retry.
    ///
    /// # Errors
    /// [`StoreError`] if a migration fails. Earlier ones stay applied.
    fn migrate_reporting(
        &self,
        report: &mut dyn FnMut(&LockWait),
    ) -> Result<Vec<String>, StoreError>;

    /// Like [`Self::migrate_reporting`], without reports.
    fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.migrate_reporting(&mut |_| ())
    }

    /// Reverts the newest migration, drops the data only it had room for, and returns its name.
    ///
    /// Returns `None` if no migration is left. Calls `report` like [`Self::migrate_reporting`].
    ///
    /// # Errors
    /// [`StoreError`] if the migration is unknown to this program or fails. Nothing is changed
    /// then.
    fn revert_reporting(
        &self,
        report: &mut dyn FnMut(&LockWait),
    ) -> Result<Option<String>, StoreError>;

    /// Like [`Self::revert_reporting`], without reports.
    fn revert(&self) -> Result<Option<String>, StoreError> {
        self.revert_reporting(&mut |_| ())
    }

    /// Finds an event of the workspace by id.
    ///
    /// # Errors
    /// [`StoreError::TimedOut`] if it takes longer than the store's time limit.
    fn event(&self, owner: Owner, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError>;

    /// Returns a page of the workspace's events, in the order of the query.
    ///
    /// A page with a `next` may have fewer events than `query.limit`, see [`PageBuilder`].
    ///
    /// # Errors
    /// [`StoreError::TimedOut`] if it takes longer than the store's time limit.
    fn events(&self, owner: Owner, query: &EventQuery) -> Result<EventPage, StoreError>;
}

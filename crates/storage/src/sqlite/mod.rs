//! The SQLite store.

mod counts;
mod diagnostics;
mod events;
mod feed;
mod lease;
mod listener;
#[cfg(test)]
mod rejection_plans;
mod removal;
mod schema;
mod time_limit;
// Also compiled by `postgres`, with other types under the names it imports from here.
#[path = "../shared/mod.rs"]
#[allow(clippy::duplicate_mod)]
mod shared;
mod tables;
mod values;
mod versions;

use std::fs::{DirBuilder, OpenOptions};
use std::num::NonZeroU32;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::{Sqlite as Db, SqliteConnection as DbConnection};
use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::{
    Actor, AppendCounts, AuditEntry, Backend, EventPage, EventQuery, EventWriter, FeedCursorError,
    FeedPage, FeedQuery, Lease, LeaseKind, LockWait, PoolLoad, Provisioned, Provisioning,
    SchemaState, Store, StoreError, Submission,
};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{EventId, Owner, Timestamp};

use crate::error::{Error, ErrorKind, read_error};
use crate::pool::{Driver, Pool, StoreOptions};
use crate::transaction;
use crate::verdicts::{Appended, Candidates};

use shared::audit;
use shared::provision::provision;
use shared::schema_state::schema_state;
use time_limit::TimeLimit;

pub(crate) use SqliteStore as DbStore;
pub(crate) use diagnostics::diagnose;

/// Settings of the write connection. `synchronous = FULL` syncs the disk before a commit returns.
///
/// The commit that fills 4,000 pages of the log (of 4 KiB) copies them into the database. The log
/// then restarts unless a reader still uses it. The size limit is [`MAX_LOG_BYTES`].
const WRITER_PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 33554432;";
const READER_PRAGMAS: &str = "PRAGMA query_only = ON;";
/// Maximum size of the write-ahead log in bytes. Under continuous reads it never restarts by
/// itself.
const MAX_LOG_BYTES: u64 = 32 * 1024 * 1024;
/// Maximum wait for readers when the log is too long. The next group tries again.
const LOG_WAIT_MS: u32 = 100;

/// Free disk space required for writes, in bytes. A group of large events needs more and then fails
/// by SQLite's own error.
const MIN_FREE_BYTES: u64 = 1024 * 1024;

/// The SQLite store. Readers and the writer never wait for each other.
pub(crate) struct SqliteStore {
    /// For reads of events.
    readers: Pool<SqliteConnection>,
    /// For all other reads.
    system: Pool<SqliteConnection>,
    /// One connection. SQLite allows one writer at a time, and the pool queues more fairly than
    /// SQLite's busy loop.
    writer: Pool<SqliteConnection>,
    file: PathBuf,
    /// The write-ahead log.
    log_file: PathBuf,
    timeout_ms: u128,
    actor: Option<Actor>,
    read_timeout: Duration,
    /// Whether this process has begun an era of the feed.
    has_era: AtomicBool,
}

impl Driver for SqliteConnection {
    /// Takes the write lock at once. A transaction that reads before it writes can fail half-way.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
}

/// Returns the set-up of a pool's connections.
fn set_up_with(
    timeout_ms: u128,
    pragmas: &'static str,
) -> impl Fn(&mut SqliteConnection) -> QueryResult<()> {
    // The timeout comes first, because changing the journal mode needs a lock.
    let pragmas =
        // SQLite enforces foreign keys only if each connection asks for it.
        format!("PRAGMA busy_timeout = {timeout_ms}; PRAGMA foreign_keys = ON; {pragmas}");
    move |connection| connection.batch_execute(&pragmas)
}

fn unavailable(message: String) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

impl SqliteStore {
    /// A store for the file at `path`. Creates the file and its folders if missing, for the owner
    /// alone.
    pub(crate) fn open(path: &Path, options: &StoreOptions) -> Result<Self, Error> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            // Existing folders keep their modes.
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
                unavailable(format!("can't create the folder {}: {error}", folder.display()))
            })?;
        }
        // SQLite gives its other files, such as the log, the mode of this one. A file that can't be
        // created is reported below, with SQLite's reason.
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).ok();
        let address = path.to_str().ok_or_else(|| {
            unavailable(format!("the path {} is not UTF-8: rename it", path.display()))
        })?;
        time_limit::install();
        let timeout_ms = options.connect_timeout.as_millis();
        let store = Self {
            writer: Pool::new(
                address,
                NonZeroU32::MIN,
                options.connect_timeout,
                set_up_with(timeout_ms, WRITER_PRAGMAS),
            ),
            readers: Pool::new(
                address,
                options.max_read_connections,
                options.connect_timeout,
                set_up_with(timeout_ms, READER_PRAGMAS),
            ),
            system: Pool::new(
                address,
                options.max_system_connections,
                options.connect_timeout,
                set_up_with(timeout_ms, READER_PRAGMAS),
            ),
            file: path.to_owned(),
            // SQLite names the log after the file (sqlite.org/wal.html).
            log_file: PathBuf::from(format!("{address}-wal")),
            timeout_ms,
            actor: options.actor.clone(),
            read_timeout: options.read_timeout,
            has_era: AtomicBool::new(false),
        };
        // The writer creates the file, so it must connect before any reader.
        store.writer.get().map_err(|error| {
            unavailable(format!("can't open {}: {}", path.display(), error.message))
        })?;
        Ok(store)
    }

    /// Restarts the log if it is too long: waits until its pages are in the database and no reader
    /// uses it. New readers don't prolong the wait.
    fn limit_log(&self) {
        let is_too_long =
            std::fs::metadata(&self.log_file).is_ok_and(|log| log.len() > MAX_LOG_BYTES);
        if !is_too_long {
            return;
        }
        // A short wait: the next group must not queue behind a slow reader.
        let pragmas = format!(
            "PRAGMA busy_timeout = {LOG_WAIT_MS}; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = {}",
            self.timeout_ms
        );
        // The group is committed already. On failure the log stays long until the next group.
        self.writer.get().map(|mut connection| connection.batch_execute(&pragmas)).ok();
    }

    /// Runs a read of events under its time limit.
    fn read_events<T>(
        &self,
        body: impl FnMut(&mut SqliteConnection) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        let _limit = TimeLimit::begin(self.read_timeout);
        transaction::read(&self.readers, body).map_err(read_error)
    }

    /// Runs a read of rejections under the same limit.
    fn read_rejections<T>(
        &self,
        _owner: Owner,
        body: impl FnMut(&mut SqliteConnection) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        self.read_events(body)
    }

    /// Writes rejections received at `_received_at`. There are no partitions to prepare.
    fn write_rejections<T>(
        &self,
        _received_at: impl Iterator<Item = Timestamp> + Clone,
        body: impl FnMut(&mut SqliteConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.write(body)
    }

    /// Reads a page of the feed under the same limit.
    fn read_feed(
        &self,
        owner: Owner,
        query: &FeedQuery,
    ) -> Result<Result<FeedPage, FeedCursorError>, StoreError> {
        let _limit = TimeLimit::begin(self.read_timeout);
        // Its statements see one snapshot.
        let read = transaction::read_in(&self.readers, "BEGIN", |connection| {
            let has_era = self.has_era.load(Ordering::Relaxed);
            feed::page(connection, owner, &query.start, query.limit, has_era)
        });
        read.map_err(read_error)
    }

    /// Runs any other read.
    fn read<T>(
        &self,
        body: impl FnMut(&mut SqliteConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        transaction::read(&self.system, body)
    }

    fn write<T>(
        &self,
        body: impl FnMut(&mut SqliteConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        transaction::write(&self.writer, body)
    }

    fn provision_tenant(&self, request: &Provisioning) -> Result<Provisioned, Error> {
        self.write(|connection| {
            let made = provision(connection, request)?;
            audit::record(connection, self.actor.as_ref(), &AuditEntry::provisioned(&made))?;
            Ok(made)
        })
    }

    fn try_lease(&self, _kind: LeaseKind) -> Result<Option<Box<dyn Lease>>, StoreError> {
        Ok(Some(lease::take()))
    }

    fn open_listener(&self) -> Result<listener::PollingListener, Error> {
        listener::PollingListener::start(self.system.clone())
    }

    /// Fails if the disk of the file is full or read-only.
    fn check_disk(&self) -> Result<(), Error> {
        // If the file system does not answer, the next write will show.
        let Ok(space) = rustix::fs::statvfs(&self.file) else { return Ok(()) };
        if space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
            return Err(unavailable("the disk is read-only".to_owned()));
        }
        // `f_bavail` excludes blocks reserved for root.
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < MIN_FREE_BYTES {
            return Err(unavailable(format!(
                "the disk is full: {free} bytes are free, at least {MIN_FREE_BYTES} are needed"
            )));
        }
        Ok(())
    }
}

impl EventWriter for SqliteStore {
    fn append(&self, group: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        let candidates = Candidates::of(group);
        if candidates.rows().is_empty() {
            return Ok(candidates.outcomes(&Appended::default()));
        }
        // No fallback as in PostgreSQL: one writer at a time has no conflicts to avoid.
        let begins_era = !self.has_era.load(Ordering::Relaxed);
        let appended =
            self.write(|connection| events::append(connection, &candidates, begins_era))?;
        // After the commit: a transaction that failed began none.
        self.has_era.store(true, Ordering::Relaxed);
        self.limit_log();
        Ok(candidates.outcomes(&appended))
    }

    fn append_counts(&self) -> AppendCounts {
        AppendCounts { retries: self.writer.retries(), ..AppendCounts::default() }
    }

    fn ping(&self) -> Result<(), StoreError> {
        // Unlike `SELECT 1`, this opens the file.
        let open = "SELECT count(*) FROM sqlite_schema";
        Ok(self.read(|connection| {
            connection.batch_execute(open)?;
            self.check_disk()
        })?)
    }
}

impl Store for SqliteStore {
    fn backend(&self) -> Backend {
        Backend::Sqlite
    }

    fn connections(&self) -> Vec<PoolLoad> {
        vec![self.readers.load("read"), self.writer.load("write"), self.system.load("system")]
    }

    fn free_bytes(&self) -> Option<u64> {
        let space = rustix::fs::statvfs(&self.file).ok()?;
        Some(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn schema_state(&self) -> Result<SchemaState, StoreError> {
        Ok(self.read(schema_state)?)
    }

    fn migrate_reporting(
        &self,
        _report: &mut dyn FnMut(&LockWait),
    ) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        // Each transaction takes the write lock before it looks for the next migration, so
        // processes can migrate concurrently.
        while let Some(name) =
            self.write(|connection| versions::run_next(connection, self.actor.as_ref()))?
        {
            names.push(name);
        }
        Ok(names)
    }

    fn revert_reporting(
        &self,
        _report: &mut dyn FnMut(&LockWait),
    ) -> Result<Option<String>, StoreError> {
        Ok(self.write(|connection| versions::revert_last(connection, self.actor.as_ref()))?)
    }

    fn event(&self, owner: Owner, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        self.read_events(|connection| events::event(connection, owner, event_id))
    }

    fn events(&self, owner: Owner, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.read_events(|connection| events::events(connection, owner, query))
    }
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::{BigInt, Text};

    use super::*;

    fn setting(pool: &Pool<SqliteConnection>, name: &str) -> i64 {
        let mut connection = pool.get().unwrap();
        let sql = format!("(SELECT {name} FROM pragma_{name})");
        diesel::select(diesel::dsl::sql::<BigInt>(&sql)).get_result(&mut **connection).unwrap()
    }

    #[test]
    fn writer_syncs_the_disk_before_a_commit_returns() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("mercurio.db"), &StoreOptions::default())
            .unwrap();
        assert_eq!(setting(&store.writer, "synchronous"), 2, "FULL");
        assert_eq!(setting(&store.writer, "foreign_keys"), 1);
        assert_eq!(setting(&store.readers, "query_only"), 1);
        assert_eq!(setting(&store.writer, "journal_size_limit"), MAX_LOG_BYTES as i64);
        let mode = diesel::dsl::sql::<Text>("(SELECT journal_mode FROM pragma_journal_mode)");
        let mode: String =
            diesel::select(mode).get_result(&mut **store.writer.get().unwrap()).unwrap();
        assert_eq!(mode, "wal");
    }
}

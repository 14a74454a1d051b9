//! The store in SQLite: its connections, and what its errors mean.

mod catalog;
mod events;
mod diagnostics;
mod lease;
mod quota;
mod removal;
mod schema;
mod versions;
mod listener;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use mercurio_domain::api_key::ApiKey;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::limits::{LimitName, LimitOverrides, Month};
use mercurio_domain::store::{
    AppendCounts, Appended, Backend, CatalogWatch, CreateError, EventPage, EventQuery, EventWriter,
    KeyRequest, Lease, LockWait, Place, PoolLoad, Provisioned, Provisioning, Refused, Removal,
    Removed, SchemaState, Store, StoreError, Submission, TenantRef, TenantRows,
};
use mercurio_domain::tenant::{Name, Tenant, Workspace};
use mercurio_domain::{ApiKeyId, EventId, Owner, TenantId, Timestamp};

use crate::error::{Failed, Failure, Fault};
use crate::pool::{Driver, Pool, StoreOptions, failed};
use crate::transaction;
use crate::verdicts::Candidates;

pub(crate) use diagnostics::examine;

/// After how many pages (of 4 KiB) of the write-ahead log a commit carries them over into the database. The log then
/// begins anew, unless a reader still looks at it.
const CHECKPOINT_PAGES: u32 = 4_000;
/// How many bytes the log may have. Where reads follow each other without a gap, it never begins anew by itself, and grows.
const LOG_BYTES: u64 = 32 * 1024 * 1024;
/// How long a writer waits for readers to let go of a log that has become too long; then it tries again after its next
/// group.
const LOG_WAIT_MS: u32 = 100;

/// Bytes that must be free for a group to be written: what the largest takes in the log, about.
const LEAST_FREE_BYTES: u64 = 1024 * 1024;

/// The store in SQLite. Readers never wait for the writer, nor it for them.
pub(crate) struct SqliteStore {
    readers: Pool<SqliteConnection>,
    /// One connection: SQLite has one writer at a time, and waiting here is fairer than in its own loop.
    writer: Pool<SqliteConnection>,
    file: PathBuf,
    /// The file of the write-ahead log.
    log: PathBuf,
    timeout_ms: u128,
}

impl Driver for SqliteConnection {
    /// The write lock is taken at once. A transaction that begins by reading and then writes can fail half-way.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    fn fault(error: &Error) -> Fault {
        match error {
            Error::DatabaseError(kind, information) => database_fault(kind, information.message()),
            Error::RollbackErrorOnCommit { .. } | Error::BrokenTransactionManager => {
                Fault::Unavailable
            }
            Error::SerializationError(_) => Fault::Refused,
            _ => Fault::Internal,
        }
    }

    fn fault_of_text(text: &str) -> Fault {
        let fault = MESSAGES.iter().find(|(part, _)| text.contains(part));
        fault.map_or(Fault::Internal, |(_, fault)| *fault)
    }
}

/// diesel tells SQLite's codes only for broken constraints; what is left is the message.
fn database_fault(kind: &DatabaseErrorKind, message: &str) -> Fault {
    use DatabaseErrorKind as Kind;
    match kind {
        Kind::UniqueViolation
        | Kind::ForeignKeyViolation
        | Kind::NotNullViolation
        | Kind::CheckViolation => Fault::Refused,
        _ => SqliteConnection::fault_of_text(message),
    }
}

/// Parts of messages, and what they mean. (<https://sqlite.org/rescode.html>; the texts are those of `sqlite3_errstr`.)
const MESSAGES: [(&str, Fault); 9] = [
    ("database is locked", Fault::Conflict),
    ("database table is locked", Fault::Conflict),
    ("database or disk is full", Fault::Unavailable),
    ("disk I/O error", Fault::Unavailable),
    ("unable to open database file", Fault::Unavailable),
    ("out of memory", Fault::Unavailable),
    ("locking protocol", Fault::Unavailable),
    ("string or blob too big", Fault::Refused),
    // A value of another type than the column's, in a STRICT table.
    ("cannot store", Fault::Refused),
];

impl SqliteStore {
    /// A store in the file at `path`, which is made where it is missing, with the folder it lies in.
    pub(crate) fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let unusable =
            |reason: String| StoreError::from(Failed { fault: Fault::Unavailable, reason });
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| {
                unusable(format!("the folder {} can't be made: {error}", folder.display()))
            })?;
        }
        let address = path.to_str().ok_or_else(|| unusable("the path is not UTF-8".to_owned()))?;
        let timeout_ms = options.connect_timeout.as_millis();
        let pool = |size, pragmas: String| {
            // The waiting time comes first: changing the journal's mode needs a lock too.
            let pragmas =
                format!("PRAGMA busy_timeout = {timeout_ms}; PRAGMA foreign_keys = ON; {pragmas}");
            Pool::new(
                address,
                size,
                options.connect_timeout,
                move |connection: &mut SqliteConnection| connection.batch_execute(&pragmas),
            )
        };
        let store = Self {
            writer: pool(
                NonZeroU32::MIN,
                format!(
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; PRAGMA journal_size_limit = {LOG_BYTES};"
                ),
            ),
            readers: pool(options.max_read_connections, "PRAGMA query_only = ON;".to_owned()),
            file: path.to_owned(),
            log: PathBuf::from(format!("{address}-wal")),
            timeout_ms,
        };
        // The writer makes the file; a reader must not come before it.
        store.writer.take().map_err(|failure| {
            let failed = failed::<SqliteConnection>(failure);
            unusable(format!("{} can't be opened: {}", path.display(), failed.reason))
        })?;
        Ok(store)
    }

    /// Makes the log begin anew where it has become too long: waits until all that is in it was carried over and no reader
    /// looks at it. New readers don't stand in the way.
    fn bound_log(&self) {
        if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES) {
            let pragmas = format!(
                "PRAGMA busy_timeout = {LOG_WAIT_MS}; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = {}",
                self.timeout_ms
            );
            // What was stored is stored. Where this fails, the log stays long until the next group.
            self.writer.take().map(|mut connection| connection.batch_execute(&pragmas)).ok();
        }
    }
}

impl SqliteStore {
    fn reading<T>(
        &self,
        body: impl FnMut(&mut SqliteConnection) -> Result<T, Failure>,
    ) -> Result<T, Failed> {
        transaction::read(&self.readers, body)
    }

    fn changing<T>(
        &self,
        body: impl FnMut(&mut SqliteConnection) -> Result<T, Failure>,
    ) -> Result<T, Failed> {
        transaction::write(&self.writer, body)
    }

    fn provisioning(&self, request: &Provisioning) -> Result<Provisioned, Failed> {
        self.changing(|connection| catalog::provision(connection, request))
    }

    fn leasing(&self) -> Result<Option<Box<dyn Lease>>, StoreError> {
        Ok(Some(lease::take()))
    }

    fn watching(&self) -> Result<listener::Watch, Failed> {
        listener::Watch::on(self.readers.clone())
    }
}

crate::impl_traits::catalog_port!(SqliteStore);

impl EventWriter for SqliteStore {
    fn append(&self, group: &[Submission]) -> Result<Vec<Appended>, StoreError> {
        let whole = Candidates::of(group, &Refused::default());
        if whole.rows().is_empty() {
            return Ok(whole.answers(&[]));
        }
        let (admitted, fresh) = transaction::write(&self.writer, |connection| {
            let draw = quota::Draw::of(connection, group)?;
            let refused = draw.refused(connection, group)?;
            let admitted =
                if refused.is_empty() { None } else { Some(Candidates::of(group, &refused)) };
            let fresh = events::append(connection, admitted.as_ref().unwrap_or(&whole))?;
            draw.take(connection, &fresh)?;
            Ok((admitted, fresh))
        })?;
        self.bound_log();
        Ok(admitted.as_ref().unwrap_or(&whole).answers(&fresh))
    }

    fn append_counts(&self) -> AppendCounts {
        AppendCounts { retries: self.writer.repeats(), ..AppendCounts::default() }
    }

    fn ping(&self) -> Result<(), StoreError> {
        // A statement that opens the file; `SELECT 1` would not.
        let open = "SELECT count(*) FROM sqlite_schema";
        Ok(transaction::read(&self.readers, |connection| {
            connection.batch_execute(open)?;
            self.has_room()
        })?)
    }
}

impl SqliteStore {
    /// Fails where the file's disk is full, or takes nothing that is written.
    fn has_room(&self) -> Result<(), Failure> {
        // What can't be asked is met by the next write.
        let Ok(space) = rustix::fs::statvfs(&self.file) else { return Ok(()) };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let fault = |reason| Err(Failure::Sorted(Fault::Unavailable, reason));
        if space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
            return fault("the disk can only be read".to_owned());
        }
        if free < LEAST_FREE_BYTES {
            return fault(format!(
                "the disk is full: {free} bytes are free, and at least {LEAST_FREE_BYTES} are needed"
            ));
        }
        Ok(())
    }
}

impl Store for SqliteStore {
    fn backend(&self) -> Backend {
        Backend::Sqlite
    }

    fn connections(&self) -> Vec<PoolLoad> {
        vec![self.readers.load("read"), self.writer.load("write")]
    }

    fn free_bytes(&self) -> Option<u64> {
        let space = rustix::fs::statvfs(&self.file).ok()?;
        Some(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn schema_state(&self) -> Result<SchemaState, StoreError> {
        Ok(transaction::read(&self.readers, versions::state)?)
    }

    fn migrate_telling(&self, _tell: &mut dyn FnMut(&LockWait)) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        // Each migration in a transaction that takes the write lock before it looks: another process may be at it too.
        while let Some(name) = transaction::write(&self.writer, versions::run_next)? {
            names.push(name);
        }
        Ok(names)
    }

    fn revert_telling(
        &self,
        _tell: &mut dyn FnMut(&LockWait),
    ) -> Result<Option<String>, StoreError> {
        Ok(transaction::write(&self.writer, versions::revert_last)?)
    }

    fn event(&self, owner: Owner, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        Ok(transaction::read(&self.readers, |connection| {
            events::event(connection, owner, event_id)
        })?)
    }

    fn events(&self, owner: Owner, query: &EventQuery) -> Result<EventPage, StoreError> {
        Ok(transaction::read(&self.readers, |connection| events::events(connection, owner, query))?)
    }
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::BigInt;

    use super::*;

    #[test]
    fn a_commit_reaches_the_disk_before_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("mercurio.db"), &StoreOptions::default())
            .unwrap();
        let setting = |pool: &Pool<SqliteConnection>, name: &str| -> i64 {
            let mut connection = pool.take().unwrap();
            let sql = format!("(SELECT {name} FROM pragma_{name})");
            diesel::select(diesel::dsl::sql::<BigInt>(&sql)).get_result(&mut **connection).unwrap()
        };
        assert_eq!(setting(&store.writer, "synchronous"), 2, "FULL");
        assert_eq!(setting(&store.writer, "foreign_keys"), 1);
        assert_eq!(setting(&store.readers, "query_only"), 1);
        let mode = diesel::dsl::sql::<diesel::sql_types::Text>(
            "(SELECT journal_mode FROM pragma_journal_mode)",
        );
        let mode: String =
            diesel::select(mode).get_result(&mut **store.writer.take().unwrap()).unwrap();
        assert_eq!(mode, "wal");
    }
}

//! The store in PostgreSQL: its connections, and what its errors mean.

mod catalog;
mod events;
mod diagnostics;
mod group;
mod lease;
mod quota;
mod recent;
mod removal;
mod schema;
mod statement;
mod versions;
mod row_security;
mod listener;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
use crate::transaction::{self, Work};
use crate::verdicts::{Candidate, Candidates};

pub(crate) use diagnostics::examine;

/// The store in PostgreSQL.
pub(crate) struct PostgresStore {
    readers: Pool<PgConnection>,
    writers: Pool<PgConnection>,
    days: events::Days,
    recent: recent::RecentKeys,
    quotas: quota::Quotas,
    wall: row_security::Wall,
    counts: Counts,
    conninfo: String,
    lock_patience: Duration,
}

/// See [`AppendCounts`].
#[derive(Debug, Default)]
struct Counts {
    groups: AtomicU64,
    suspects: AtomicU64,
    fallbacks: AtomicU64,
}

impl Driver for PgConnection {
    const BEGIN: &'static str = "BEGIN";

    fn fault(error: &Error) -> Fault {
        match error {
            Error::DatabaseError(kind, information) => database_fault(kind, &**information),
            Error::RollbackErrorOnCommit { .. } | Error::BrokenTransactionManager => {
                Fault::Unavailable
            }
            Error::SerializationError(_) => Fault::Refused,
            _ => Fault::Internal,
        }
    }

    fn prepare_migration(&mut self, in_transaction: bool) -> QueryResult<()> {
        versions::prepare(self, in_transaction)
    }

    fn fault_of_text(text: &str) -> Fault {
        let fault = MESSAGES.iter().find(|(part, _)| text.contains(part));
        fault.map_or(Fault::Internal, |(_, fault)| *fault)
    }
}

/// diesel keeps PostgreSQL's five-digit codes to itself and tells most of them as `Unknown`; what is left is the message.
/// Sessions ask for English ones (see [`set_up`]).
fn database_fault(
    kind: &DatabaseErrorKind,
    error: &dyn diesel::result::DatabaseErrorInformation,
) -> Fault {
    use DatabaseErrorKind as Kind;
    match kind {
        Kind::SerializationFailure => Fault::Conflict,
        Kind::ClosedConnection | Kind::ReadOnlyTransaction => Fault::Unavailable,
        // Only a row that no partition takes breaks a check of `events` that has no name.
        Kind::CheckViolation
            if error.table_name() == Some("events") && error.constraint_name().is_none() =>
        {
            Fault::NoPartition
        }
        Kind::UniqueViolation
        | Kind::ForeignKeyViolation
        | Kind::NotNullViolation
        | Kind::CheckViolation
        | Kind::RestrictViolation
        | Kind::ExclusionViolation
        | Kind::UnableToSendCommand => Fault::Refused,
        _ => PgConnection::fault_of_text(error.message()),
    }
}

/// Parts of messages, and what they mean. (PostgreSQL's manual, appendix A; the texts are those of its sources.)
const MESSAGES: [(&str, Fault); 25] = [
    // 40P01, 40001, 55P03
    ("deadlock detected", Fault::Conflict),
    ("could not serialize access", Fault::Conflict),
    ("due to lock timeout", Fault::Conflict),
    // 57P01 to 57P05, 57014, 08
    ("terminating connection", Fault::Unavailable),
    ("the database system is", Fault::Unavailable),
    ("canceling statement", Fault::Unavailable),
    ("server closed the connection", Fault::Unavailable),
    ("no connection to the server", Fault::Unavailable),
    ("could not receive data", Fault::Unavailable),
    ("could not send data", Fault::Unavailable),
    ("SSL connection has been closed", Fault::Unavailable),
    ("SSL SYSCALL error", Fault::Unavailable),
    // 53100, 53200, 53300
    ("No space left on device", Fault::Unavailable),
    // Of a page, the part for which there was room: a full disk, too.
    ("wrote only", Fault::Unavailable),
    ("out of memory", Fault::Unavailable),
    ("out of shared memory", Fault::Unavailable),
    ("too many clients already", Fault::Unavailable),
    ("remaining connection slots", Fault::Unavailable),
    // 22021, 22P02, 22P03, 22P05, 22008, 54000
    ("invalid byte sequence", Fault::Refused),
    ("invalid input syntax", Fault::Refused),
    ("incorrect binary data format", Fault::Refused),
    ("unsupported Unicode escape sequence", Fault::Refused),
    ("out of range", Fault::Refused),
    ("value too long", Fault::Refused),
    ("index row", Fault::Refused),
];

/// For connections that read. With the default, made for turning disks, the planner would rather read all of a small
/// workspace's events and sort them than go down the index (docs/adr/0002-keys-first-tables.md, "Pages").
pub(super) const READER: &str = "SET random_page_cost = 1.1";

/// For connections that write.
/// - Their statements have one good plan whatever the parameters, and making one anew costs as much as carrying it out: PostgreSQL would
///   for those with arrays.
/// - Quotas are exact where a statement sees what was committed before it.
/// - What is done between large groups, as adding up quotas, is not worth being compiled.
/// - A server that is cut off holds its locks until PostgreSQL notices, which else takes hours. Nobody thinks for so long within a
///   transaction.
const WRITER: &str =
    "SET plan_cache_mode = force_generic_plan; SET default_transaction_isolation = 'read committed'; SET jit = off;
    SET idle_in_transaction_session_timeout = 10000";

/// Takes about 1 MiB on the database's disk, and a commit, and leaves nothing: a disk that is full still has room in pages that were
/// begun, and answers whatever is only asked.
const PROBE: &str = "SET LOCAL statement_timeout = 5000;
    SET LOCAL temp_tablespaces = '';
    CREATE TEMPORARY TABLE mercurio_probe ON COMMIT DROP AS SELECT number FROM generate_series(1, 30000) AS number";

/// Readies a new connection.
fn set_up(
    connection: &mut PgConnection,
    statement_timeout: Duration,
    settings: &str,
) -> QueryResult<()> {
    connection.batch_execute(&format!(
        "SET statement_timeout = {}; {settings}",
        statement_timeout.as_millis()
    ))?;
    // Only a superuser may, or one whom it was granted to. For others the server's language stays, and where that is not
    // English, an error whose meaning stands in its text alone counts as internal.
    connection.batch_execute("SET lc_messages = 'C'").ok();
    Ok(())
}

impl PostgresStore {
    /// A store at the server that `conninfo` names. Nothing is sent yet.
    pub(crate) fn open(conninfo: &str, options: &StoreOptions) -> Self {
        let pool = |size, timeout: Duration, settings: &'static str| {
            Pool::new(
                conninfo,
                size,
                options.connect_timeout,
                move |connection: &mut PgConnection| set_up(connection, timeout, settings),
            )
        };
        Self {
            readers: pool(options.max_read_connections, options.read_timeout, READER),
            writers: pool(options.max_write_connections, options.write_timeout, WRITER),
            days: events::Days::default(),
            recent: recent::RecentKeys::default(),
            quotas: quota::Quotas::default(),
            wall: row_security::Wall::default(),
            counts: Counts::default(),
            conninfo: conninfo.to_owned(),
            lock_patience: options.lock_patience,
        }
    }

    /// A connection of its own, whose end ends its locks. It waits as long as it must.
    fn dedicated(&self) -> Result<PgConnection, Failed> {
        let connect = || {
            let mut connection = PgConnection::establish(&self.conninfo)
                .map_err(|error| Failure::NoConnection(error.to_string()))?;
            set_up(&mut connection, Duration::ZERO, "")?;
            Ok(connection)
        };
        connect().map_err(failed::<PgConnection>)
    }

    /// Does the work, which appends events that were received at `received_at`, once the partitions for them are there.
    fn append_at<W: Work<PgConnection>>(
        &self,
        received_at: impl Iterator<Item = Timestamp> + Clone,
        work: &mut W,
    ) -> Result<W::Output, Failed> {
        self.days.prepare(&self.writers, received_at.clone())?;
        match transaction::carry_out(&self.writers, work) {
            // Somebody took a partition away that was there before, such as by restoring an old copy.
            Err(Failed { fault: Fault::NoPartition, .. }) => {
                self.days.forget();
                self.days.prepare(&self.writers, received_at)?;
                transaction::carry_out(&self.writers, work)
            }
            done => done,
        }
    }
}

impl PostgresStore {
    fn reading<T>(
        &self,
        body: impl FnMut(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, Failed> {
        transaction::read(&self.readers, body)
    }

    fn changing<T>(
        &self,
        body: impl FnMut(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, Failed> {
        transaction::write(&self.writers, body)
    }

    fn provisioning(&self, request: &Provisioning) -> Result<Provisioned, Failed> {
        let received_at = [request.created_at].into_iter().filter(|_| !request.samples.is_empty());
        let provision = |connection: &mut PgConnection| catalog::provision(connection, request);
        self.append_at(received_at, &mut transaction::Body(provision))
    }

    fn leasing(&self) -> Result<Option<Box<dyn Lease>>, StoreError> {
        lease::take(self.dedicated()?)
    }

    fn watching(&self) -> Result<listener::Watch, Failed> {
        listener::Watch::on(self.dedicated()?).map_err(failed::<PgConnection>)
    }
}

crate::impl_traits::catalog_port!(PostgresStore);

impl EventWriter for PostgresStore {
    fn append(&self, group: &[Submission]) -> Result<Vec<Appended>, StoreError> {
        let whole = Candidates::of(group, &Refused::default());
        if whole.rows().is_empty() {
            return Ok(whole.answers(&[]));
        }
        let received_at = group.iter().map(|submission| submission.received_at);
        let mut writing = group::Writing::of(self, group, &whole);
        let (admitted, fresh) = self.append_at(received_at, &mut writing)?;
        writing.stored();
        let candidates = admitted.as_ref().unwrap_or(&whole);
        self.counts.groups.fetch_add(1, Ordering::Relaxed);
        self.recent.remember(candidates.rows().iter().map(Candidate::key));
        Ok(candidates.answers(&fresh))
    }

    fn append_counts(&self) -> AppendCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { groups, suspects, fallbacks } = &self.counts;
        let retries = self.writers.repeats();
        AppendCounts {
            groups: read(groups),
            suspects: read(suspects),
            fallbacks: read(fallbacks),
            retries,
        }
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(transaction::read(&self.readers, is_writable)?)
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.ping()?;
        match transaction::write(&self.writers, |connection| Ok(connection.batch_execute(PROBE)?)) {
            // A role that may make no such table learns it from its next group.
            Err(Failed { fault: Fault::Internal, .. }) | Ok(()) => Ok(()),
            Err(failed) => Err(failed.into()),
        }
    }
}

impl Store for PostgresStore {
    fn backend(&self) -> Backend {
        Backend::Postgres
    }

    fn connections(&self) -> Vec<PoolLoad> {
        vec![self.readers.load("read"), self.writers.load("write")]
    }

    fn schema_state(&self) -> Result<SchemaState, StoreError> {
        Ok(transaction::read(&self.readers, versions::state)?)
    }

    fn migrate_telling(&self, tell: &mut dyn FnMut(&LockWait)) -> Result<Vec<String>, StoreError> {
        let mut connection = self.dedicated()?;
        let names = versions::migrate(&mut connection, self.lock_patience, tell)?;
        self.days.prepare_ahead(&mut connection).map_err(failed::<PgConnection>)?;
        Ok(names)
    }

    fn revert_telling(
        &self,
        tell: &mut dyn FnMut(&LockWait),
    ) -> Result<Option<String>, StoreError> {
        Ok(versions::revert(&mut self.dedicated()?, self.lock_patience, tell)?)
    }

    fn event(&self, owner: Owner, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        Ok(self.wall.read(&self.readers, owner.tenant_id, |connection| {
            events::event(connection, owner, event_id)
        })?)
    }

    fn events(&self, owner: Owner, query: &EventQuery) -> Result<EventPage, StoreError> {
        Ok(self.wall.read(&self.readers, owner.tenant_id, |connection| {
            events::events(connection, owner, query)
        })?)
    }
}

/// Fails where the server is a standby, or takes nothing that is written.
fn is_writable(connection: &mut PgConnection) -> Result<(), Failure> {
    let writable =
        "NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'";
    let writable = diesel::dsl::sql::<diesel::sql_types::Bool>(writable);
    if diesel::select(writable).get_result(connection)? {
        return Ok(());
    }
    Err(Failure::Sorted(Fault::Unavailable, "the database can only be read".to_owned()))
}

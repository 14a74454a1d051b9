//! The PostgreSQL store.

mod counts;
mod diagnostics;
mod driver;
mod events;
mod feed;
mod lease;
mod listener;
mod partitions;
mod probe;
mod recent;
#[cfg(test)]
mod rejection_plans;
mod removal;
mod replication;
mod row_security;
mod schema;
// Also compiled by `sqlite`, with other types under the names it imports from here.
#[path = "../shared/mod.rs"]
#[allow(clippy::duplicate_mod)]
mod shared;
mod statement;
mod tables;
mod values;
mod versions;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::pg::{Pg as Db, PgConnection as DbConnection};
use diesel::prelude::*;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::store::{
    Actor, AppendCounts, AuditEntry, Backend, EventPage, EventQuery, EventWriter, FeedCursorError,
    FeedPage, FeedQuery, Lease, LeaseKind, LockWait, PoolLoad, Privileges, Provisioned,
    Provisioning, SchemaState, Store, StoreError, Submission,
};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{EventId, Owner, Timestamp};

use crate::error::{Error, ErrorKind, read_error};
use crate::pool::{Pool, StoreOptions};
use crate::transaction;
use crate::verdicts::{Appended, Candidate, Candidates};

use events::AppendMode;
use partitions::DailyPartitions;
use row_security::RowSecurity;
use shared::audit;
use shared::provision::provision;
use shared::schema_state::schema_state;

pub(crate) use PostgresStore as DbStore;
pub(crate) use diagnostics::diagnose;

/// The PostgreSQL store.
pub(crate) struct PostgresStore {
    /// For reads of events.
    readers: Pool<PgConnection>,
    /// For all other reads.
    system: Pool<PgConnection>,
    writers: Pool<PgConnection>,
    event_days: DailyPartitions,
    rejection_days: DailyPartitions,
    recent: recent::RecentKeys,
    row_security: RowSecurity,
    /// Apart from that of events: a database may lack the grant on its newer tables.
    rejection_security: RowSecurity,
    counters: AppendCounters,
    has_own_sessions: AtomicBool,
    conninfo: String,
    write_timeout: Duration,
    migration_lock_timeout: Duration,
    actor: Option<Actor>,
    read_timeout: Duration,
}

/// The counters behind [`AppendCounts`].
#[derive(Debug, Default)]
struct AppendCounters {
    groups: AtomicU64,
    likely_duplicates: AtomicU64,
    fallbacks: AtomicU64,
}

impl PostgresStore {
    /// A store for the server that `conninfo` names. Does not connect yet.
    pub(crate) fn open(conninfo: &str, options: &StoreOptions) -> Self {
        Self {
            readers: Pool::new(
                conninfo,
                options.max_read_connections,
                options.connect_timeout,
                driver::set_up_with(options.read_timeout, driver::READER_SETTINGS),
            ),
            system: Pool::new(
                conninfo,
                options.max_system_connections,
                options.connect_timeout,
                driver::set_up_with(options.system_timeout, driver::READER_SETTINGS),
            ),
            writers: Pool::new(
                conninfo,
                options.max_write_connections,
                options.connect_timeout,
                driver::set_up_writer(options.write_timeout),
            ),
            event_days: DailyPartitions::of("events"),
            rejection_days: DailyPartitions::of("rejections"),
            recent: recent::RecentKeys::default(),
            row_security: RowSecurity::of("events, event_keys"),
            rejection_security: RowSecurity::of("rejections, rejection_counts"),
            counters: AppendCounters::default(),
            has_own_sessions: AtomicBool::new(false),
            conninfo: conninfo.to_owned(),
            write_timeout: options.write_timeout,
            migration_lock_timeout: options.migration_lock_timeout,
            actor: options.actor.clone(),
            read_timeout: options.read_timeout,
        }
    }

    /// Opens a connection outside the pools, without a statement timeout. Closing it releases its
    /// session locks.
    fn dedicated_connection(&self) -> Result<PgConnection, Error> {
        let mut connection = PgConnection::establish(&self.conninfo)?;
        // 0 disables the timeout: migrations may run long.
        driver::set_up(&mut connection, Duration::ZERO, driver::DEDICATED_SETTINGS)?;
        Ok(connection)
    }

    /// Fails if a pooler shares sessions between connections. Checks once, at start-up.
    fn check_sessions(&self) -> Result<(), Error> {
        if self.has_own_sessions.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut other = PgConnection::establish(&self.conninfo)?;
        self.read(|connection| driver::check_sessions(connection, &mut other))?;
        self.has_own_sessions.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Runs a write transaction that appends rows received at `received_at`, after creating the
    /// partitions they need.
    fn append_at<T>(
        &self,
        partitions: &DailyPartitions,
        received_at: impl Iterator<Item = Timestamp> + Clone,
        mut body: impl FnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // In its own transaction, before the one with the rows: it must hold no lock on keys.
        partitions.prepare(&self.writers, received_at.clone())?;
        match self.write(&mut body) {
            // A partition seen before was dropped, for example by restoring a backup.
            Err(Error { kind: ErrorKind::NoPartition, .. }) => {
                partitions.forget();
                // Once only: a second failure means the partition cannot be created.
                partitions.prepare(&self.writers, received_at)?;
                self.write(&mut body)
            }
            result => result,
        }
    }

    fn versions(&self) -> versions::Versions<'_> {
        versions::Versions { timeout: self.migration_lock_timeout, actor: self.actor.as_ref() }
    }

    /// Runs a read of events of `owner` under its time limit.
    fn read_events<T>(
        &self,
        owner: Owner,
        body: impl FnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        self.read_under(&self.row_security, owner, body)
    }

    /// Runs a read of rejections of `owner` under the same time limit.
    fn read_rejections<T>(
        &self,
        owner: Owner,
        body: impl FnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        self.read_under(&self.rejection_security, owner, body)
    }

    fn read_under<T>(
        &self,
        security: &RowSecurity,
        owner: Owner,
        body: impl FnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let read = security.read(&self.readers, owner.tenant_id, body);
        read.map_err(|error| self.read_error(begun, error))
    }

    /// Reads a page of the feed under the same limit.
    fn read_feed(
        &self,
        owner: Owner,
        query: &FeedQuery,
    ) -> Result<Result<FeedPage, FeedCursorError>, StoreError> {
        let begun = Instant::now();
        let read = self.row_security.read_snapshot(
            &self.readers,
            owner.tenant_id,
            feed::SETTINGS,
            |connection| feed::page(connection, owner, &query.start, query.limit),
        );
        read.map_err(|error| self.read_error(begun, error))
    }

    fn read_error(&self, begun: Instant, error: Error) -> StoreError {
        match error.kind {
            // The message of a server in another language is unknown, but not its time.
            ErrorKind::Internal if begun.elapsed() >= self.read_timeout => {
                read_error(Error { kind: ErrorKind::TimedOut, ..error })
            }
            _ => read_error(error),
        }
    }

    /// Writes rejections received at `received_at`.
    fn write_rejections<T>(
        &self,
        received_at: impl Iterator<Item = Timestamp> + Clone,
        body: impl FnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.append_at(&self.rejection_days, received_at, body)
    }

    /// Runs any other read.
    fn read<T>(&self, body: impl FnMut(&mut PgConnection) -> Result<T, Error>) -> Result<T, Error> {
        transaction::read(&self.system, body)
    }

    fn write<T>(
        &self,
        body: impl FnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        transaction::write(&self.writers, body).map_err(|error| match error.kind {
            // The message of a statement timeout may be in any language.
            ErrorKind::Internal if begun.elapsed() >= self.write_timeout => {
                Error { kind: ErrorKind::Unavailable, ..error }
            }
            _ => error,
        })
    }

    fn provision_tenant(&self, request: &Provisioning) -> Result<Provisioned, Error> {
        // A tenant without samples needs no partition.
        let received_at = [request.created_at].into_iter().filter(|_| !request.samples.is_empty());
        self.append_at(&self.event_days, received_at, |connection| {
            let made = provision(connection, request)?;
            audit::record(connection, self.actor.as_ref(), &AuditEntry::provisioned(&made))?;
            Ok(made)
        })
    }

    fn try_lease(&self, kind: LeaseKind) -> Result<Option<Box<dyn Lease>>, StoreError> {
        Ok(lease::try_take(self.dedicated_connection()?, kind)?)
    }

    fn open_listener(&self) -> Result<listener::NotificationListener, Error> {
        listener::NotificationListener::start(self.dedicated_connection()?)
    }
}

impl EventWriter for PostgresStore {
    fn append(&self, group: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        let candidates = Candidates::of(group);
        if candidates.rows().is_empty() {
            return Ok(candidates.outcomes(&Appended::default()));
        }
        let likely_stored = self.recent.contains_each(candidates.rows().iter().map(Candidate::key));
        let likely_duplicates = likely_stored.iter().filter(|likely| **likely).count();
        self.counters.likely_duplicates.fetch_add(likely_duplicates as u64, Ordering::Relaxed);
        let received_at = group.iter().map(|submission| submission.received_at);
        // The closure runs once per attempt, so the mode is decided inside.
        let mut is_first = true;
        let appended = self.append_at(&self.event_days, received_at, |connection| {
            // Only the first attempt copies keys. Whatever made it fail, claiming always works.
            let mode = if std::mem::take(&mut is_first) {
                AppendMode::Copy { likely_stored: &likely_stored }
            } else {
                self.counters.fallbacks.fetch_add(1, Ordering::Relaxed);
                AppendMode::Claim
            };
            events::append(connection, &candidates, mode)
        })?;
        self.counters.groups.fetch_add(1, Ordering::Relaxed);
        // After the commit: a key that is rolled back later must not be in the cache.
        self.recent.remember(candidates.rows().iter().map(Candidate::key));
        Ok(candidates.outcomes(&appended))
    }

    fn append_counts(&self) -> AppendCounts {
        let AppendCounters { groups, likely_duplicates, fallbacks } = &self.counters;
        AppendCounts {
            groups: groups.load(Ordering::Relaxed),
            likely_duplicates: likely_duplicates.load(Ordering::Relaxed),
            fallbacks: fallbacks.load(Ordering::Relaxed),
            retries: self.writers.retries(),
        }
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(self.read(probe::check_writable)?)
    }

    fn probe(&self) -> Result<(), StoreError> {
        // The cheap test first: its message names a read-only database.
        self.ping()?;
        // Any failure counts, because its message may be in any language.
        self.write(probe::write).map_err(|error| StoreError::Unavailable(Box::new(error)))
    }
}

impl Store for PostgresStore {
    fn backend(&self) -> Backend {
        Backend::Postgres
    }

    fn connections(&self) -> Vec<PoolLoad> {
        vec![self.readers.load("read"), self.writers.load("write"), self.system.load("system")]
    }

    fn notify_tail(&self, texts: &[String]) -> Result<(), StoreError> {
        Ok(self.read(|connection| Ok(listener::notify_tail(connection, texts)?))?)
    }

    fn schema_state(&self) -> Result<SchemaState, StoreError> {
        self.check_sessions()?;
        Ok(self.read(schema_state)?)
    }

    fn privileges(&self) -> Result<Privileges, StoreError> {
        Ok(self.read(diagnostics::privileges)?)
    }

    fn migrate_reporting(
        &self,
        report: &mut dyn FnMut(&LockWait),
    ) -> Result<Vec<String>, StoreError> {
        let mut connection = self.dedicated_connection()?;
        // Outside the pools: a migration may run longer than the statement timeout.
        let names = self.versions().migrate(&mut connection, report)?;
        // The role that migrates may create tables. The servers' role may not.
        partitions::create_ahead(&mut connection)?;
        Ok(names)
    }

    fn revert_reporting(
        &self,
        report: &mut dyn FnMut(&LockWait),
    ) -> Result<Option<String>, StoreError> {
        let mut connection = self.dedicated_connection()?;
        Ok(self.versions().revert(&mut connection, report)?)
    }

    fn event(&self, owner: Owner, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        self.read_events(owner, |connection| events::event(connection, owner, event_id))
    }

    fn events(&self, owner: Owner, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.read_events(owner, |connection| events::events(connection, owner, query))
    }
}

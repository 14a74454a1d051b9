//! A pool of connections to one database.
//!
//! A connection is checked when it is returned, by its local state, and not with a round trip when
//! it is taken. Once a broken connection is found, all older ones are dropped as they come up. So a
//! server restart costs one failed call, not one for each idle connection.

use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::{AnsiTransactionManager, Connection};
use diesel::r2d2::{
    ConnectionManager, ManageConnection, NopErrorHandler, PooledConnection, R2D2Connection,
};

use mercurio_domain::store::{Actor, PoolLoad};

use crate::error::Error;

/// Pool sizes, timeouts and the actor of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Connections for reads of events.
    pub max_read_connections: NonZeroU32,
    /// Connections for all other reads: probes, keys, usage. Reads of events can't occupy them.
    pub max_system_connections: NonZeroU32,
    /// Connections for writes. One per thread that calls `append` avoids waiting. SQLite always
    /// uses one.
    pub max_write_connections: NonZeroU32,
    /// Maximum wait for a connection, and for SQLite's file lock.
    pub connect_timeout: Duration,
    /// Time limit of a read of events.
    pub read_timeout: Duration,
    /// Statement timeout for all other reads, in PostgreSQL.
    pub system_timeout: Duration,
    /// Statement timeout for writes, in PostgreSQL, lock waits included. Migrations have none.
    pub write_timeout: Duration,
    /// How long a migration is retried while others hold its table locks, in PostgreSQL.
    pub migration_lock_timeout: Duration,
    /// Recorded in the audit log with every change of the catalog and every migration; `None`
    /// records nothing.
    pub actor: Option<Actor>,
}

impl Default for StoreOptions {
    /// 8 read, 6 system and 4 write connections; 3 s to connect, 10 s to read, 60 s to write or to
    /// get a lock.
    fn default() -> Self {
        Self {
            // None is 0, so the fallbacks never apply.
            max_read_connections: NonZeroU32::new(8).unwrap_or(NonZeroU32::MIN),
            // Two more than look-ups of keys use at once.
            max_system_connections: NonZeroU32::new(6).unwrap_or(NonZeroU32::MIN),
            max_write_connections: NonZeroU32::new(4).unwrap_or(NonZeroU32::MIN),
            // Short, so that an HTTP client gets a 503 before it gives up.
            connect_timeout: Duration::from_secs(3),
            read_timeout: Duration::from_secs(10),
            system_timeout: Duration::from_secs(10),
            // Generous: a checkpoint on a slow disk can stall a group for seconds.
            write_timeout: Duration::from_secs(60),
            migration_lock_timeout: Duration::from_secs(60),
            actor: None,
        }
    }
}

/// A connection type that the pool can manage.
pub(crate) trait Driver:
    Connection<TransactionManager = AnsiTransactionManager> + R2D2Connection + Send + 'static
{
    /// The statement that begins a write transaction.
    const BEGIN: &'static str;

    /// Checks after a COMMIT that took `took` that the commit is as durable as the database's
    /// settings promise.
    fn confirm_commit(&mut self, _took: Duration) -> Result<(), Error> {
        Ok(())
    }

    /// Prepares the connection for a migration.
    fn prepare_migration(&mut self, _in_transaction: bool) -> QueryResult<()> {
        Ok(())
    }
}

/// Configures a new connection.
type SetUp<C> = Box<dyn Fn(&mut C) -> QueryResult<()> + Send + Sync>;

/// Opens connections for r2d2, and rejects those from before the last break.
pub(crate) struct GenerationManager<C> {
    inner: ConnectionManager<C>,
    set_up: SetUp<C>,
    /// Number of breaks seen. Connections of an earlier generation are dropped.
    generation: Arc<AtomicU64>,
}

/// A connection and its generation.
pub(crate) struct GenerationConnection<C> {
    connection: C,
    generation: u64,
}

impl<C> Deref for GenerationConnection<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for GenerationConnection<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

impl<C: Driver> GenerationManager<C> {
    fn is_outdated(&self, connection: &GenerationConnection<C>) -> bool {
        connection.generation < self.generation.load(Ordering::Acquire)
    }
}

impl<C: Driver> ManageConnection for GenerationManager<C> {
    type Connection = GenerationConnection<C>;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<GenerationConnection<C>, Self::Error> {
        // Read before connecting: a break seen in between makes this connection outdated.
        let generation = self.generation.load(Ordering::Acquire);
        let mut connection = self.inner.connect()?;
        (self.set_up)(&mut connection).map_err(diesel::r2d2::Error::QueryError)?;
        Ok(GenerationConnection { connection, generation })
    }

    /// Runs on checkout, so it must not query the server.
    fn is_valid(&self, connection: &mut GenerationConnection<C>) -> Result<(), Self::Error> {
        if self.is_outdated(connection) {
            return Err(diesel::r2d2::Error::QueryError(
                // r2d2 only drops the connection; the kind of the error is not shown.
                diesel::result::Error::BrokenTransactionManager,
            ));
        }
        Ok(())
    }

    fn has_broken(&self, connection: &mut GenerationConnection<C>) -> bool {
        // Called on return, so an outdated connection does not wait for its next checkout.
        self.is_outdated(connection) || self.inner.has_broken(&mut connection.connection)
    }
}

/// A pool of connections, opened on demand. Clones share the connections.
pub(crate) struct Pool<C: Driver> {
    inner: diesel::r2d2::Pool<GenerationManager<C>>,
    generation: Arc<AtomicU64>,
    retries: Arc<AtomicU64>,
}

impl<C: Driver> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            generation: Arc::clone(&self.generation),
            retries: Arc::clone(&self.retries),
        }
    }
}

impl<C: Driver> Pool<C> {
    /// A pool of up to `max_size` connections to `address`. Opens none yet.
    pub(crate) fn new(
        address: &str,
        max_size: NonZeroU32,
        connect_timeout: Duration,
        set_up: impl Fn(&mut C) -> QueryResult<()> + Send + Sync + 'static,
    ) -> Self {
        let generation = Arc::new(AtomicU64::new(0));
        let manager = GenerationManager {
            inner: ConnectionManager::new(address),
            set_up: Box::new(set_up),
            generation: Arc::clone(&generation),
        };
        let inner = diesel::r2d2::Pool::builder()
            .max_size(max_size.get())
            // No connection is opened before it is needed, so a store opens without its database.
            .min_idle(Some(0))
            .connection_timeout(connect_timeout)
            // Calls `is_valid`, a comparison of two numbers.
            .test_on_check_out(true)
            // The call that waits for the connection returns the error; r2d2 need not log it.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(manager);
        Self { inner, generation, retries: Arc::default() }
    }

    /// Takes a connection. Waits up to the pool's timeout.
    pub(crate) fn get(&self) -> Result<PooledConnection<GenerationManager<C>>, Error> {
        Ok(self.inner.get()?)
    }

    /// Counts a retried transaction.
    pub(crate) fn count_retry(&self) {
        // Relaxed: a counter for metrics orders nothing.
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of retried transactions.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Current connection counts, labelled `pool`.
    pub(crate) fn load(&self, pool: &'static str) -> PoolLoad {
        let state = self.inner.state();
        debug_assert!(state.idle_connections <= state.connections, "idle ones are part of all");
        let busy = state.connections - state.idle_connections;
        PoolLoad { pool, idle: state.idle_connections, busy }
    }

    /// Invalidates all open connections. They are dropped instead of reused.
    pub(crate) fn invalidate_all(&self) {
        // Under races several breaks of one outage count twice, which only drops more connections.
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI32;

    use diesel::connection::{SimpleConnection, TransactionManager};
    use diesel::prelude::*;
    use diesel::sqlite::SqliteConnection;
    use proptest::prelude::*;

    use super::*;

    const MAX_SIZE: u32 = 4;

    /// One step of a random history. Numbers select one of the taken connections.
    #[derive(Debug, Clone)]
    enum Step {
        Take,
        Return(usize),
        /// Leaves a transaction open, as a failed ROLLBACK does.
        Break(usize),
        InvalidateAll,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Take),
            4 => any::<usize>().prop_map(Step::Return),
            1 => any::<usize>().prop_map(Step::Break),
            1 => Just(Step::InvalidateAll),
        ];
        prop::collection::vec(step, 1..60)
    }

    #[derive(QueryableByName)]
    struct Tag {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        user_version: i32,
    }

    /// Tags each connection with the number of its opening, in its own database in memory.
    fn tagged_pool(opened: &Arc<AtomicI32>) -> Pool<SqliteConnection> {
        let opened = Arc::clone(opened);
        let max_size = NonZeroU32::new(MAX_SIZE).unwrap();
        Pool::new(":memory:", max_size, Duration::from_secs(60), move |connection| {
            let tag = opened.fetch_add(1, Ordering::SeqCst);
            SqliteConnection::batch_execute(connection, &format!("PRAGMA user_version = {tag}"))
        })
    }

    fn tag_of(connection: &mut SqliteConnection) -> i32 {
        diesel::sql_query("PRAGMA user_version").get_result::<Tag>(connection).unwrap().user_version
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn broken_or_outdated_connection_never_comes_back(steps in steps()) {
            let opened = Arc::default();
            let pool = tagged_pool(&opened);
            let mut taken = Vec::new();
            // Idle connections that may come back, and those that must not.
            let mut idle: Vec<i32> = Vec::new();
            let mut unusable: Vec<i32> = Vec::new();
            for step in steps {
                match step {
                    Step::Take if taken.len() < MAX_SIZE as usize => {
                        let mut connection = pool.get().unwrap();
                        let tag = tag_of(&mut connection);
                        prop_assert!(!unusable.contains(&tag), "{tag} comes back");
                        // A new one is opened only without an idle one.
                        let is_new = tag + 1 == opened.load(Ordering::SeqCst);
                        prop_assert!(idle.contains(&tag) || (idle.is_empty() && is_new));
                        idle.retain(|other| *other != tag);
                        taken.push((connection, tag));
                    }
                    Step::Return(index) if !taken.is_empty() => {
                        let (connection, tag) = taken.swap_remove(index % taken.len());
                        drop(connection);
                        if !unusable.contains(&tag) {
                            idle.push(tag);
                        }
                    }
                    Step::Break(index) if !taken.is_empty() => {
                        let index = index % taken.len();
                        let (connection, tag) = &mut taken[index];
                        if !unusable.contains(tag) {
                            let connection: &mut SqliteConnection = connection;
                            AnsiTransactionManager::begin_transaction(connection).unwrap();
                            unusable.push(*tag);
                        }
                    }
                    Step::InvalidateAll => {
                        pool.invalidate_all();
                        unusable.extend(0..opened.load(Ordering::SeqCst));
                        idle.clear();
                    }
                    _ => {}
                }
            }
        }
    }
}

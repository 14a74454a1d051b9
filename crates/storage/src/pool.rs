//! Connections that are kept, and the thread-safe way to one of them.
//!
//! A connection is checked when it is given back, not when it is taken: a look at its state costs nothing, a round trip
//! would. Once one was found broken, all that were made before it are dropped too when they come up, so that a restart of
//! the server costs one failed call and not one for each connection that was idle.

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

use mercurio_domain::store::PoolLoad;

use crate::error::{Failed, Failure, Fault};

/// How many connections a store may have, and how long it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Connections that read: pages of events, keys, the probe of readiness.
    pub max_read_connections: NonZeroU32,
    /// Connections that write: one for each thread that calls `append`, so that none waits for another. SQLite has one
    /// writer, whatever stands here.
    pub max_write_connections: NonZeroU32,
    /// How long a call waits for a connection, and SQLite for the file's lock.
    pub connect_timeout: Duration,
    /// How long a statement that reads may run at PostgreSQL.
    pub read_timeout: Duration,
    /// How long a statement that writes may run at PostgreSQL, the time that it waits for locks included. Migrations may
    /// run as long as they need.
    pub write_timeout: Duration,
    /// For how long a migration is tried at PostgreSQL while others hold locks that it needs.
    pub lock_patience: Duration,
}

impl Default for StoreOptions {
    /// 8 that read, 4 that write; 3 s for a connection, 10 s for a read, 60 s for a write and for the locks of a migration.
    fn default() -> Self {
        Self {
            max_read_connections: NonZeroU32::new(8).unwrap_or(NonZeroU32::MIN),
            max_write_connections: NonZeroU32::new(4).unwrap_or(NonZeroU32::MIN),
            connect_timeout: Duration::from_secs(3),
            read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            lock_patience: Duration::from_secs(60),
        }
    }
}

/// What a connection must be able to do, whichever database it leads to.
pub(crate) trait Driver:
    Connection<TransactionManager = AnsiTransactionManager> + R2D2Connection + Send + 'static
{
    /// The statement that begins a transaction that writes.
    const BEGIN: &'static str;

    /// What an error of this database means.
    fn fault(error: &diesel::result::Error) -> Fault;

    /// Readies the connection for a migration, which runs in a transaction or statement by statement.
    fn prepare_migration(&mut self, _in_transaction: bool) -> QueryResult<()> {
        Ok(())
    }

    /// What the text of an error means, where that is all that is left of it.
    fn fault_of_text(text: &str) -> Fault;
}

/// What a failure means, told by the database's own driver.
pub(crate) fn failed<C: Driver>(failure: Failure) -> Failed {
    let fault = match &failure {
        Failure::Database(error) => C::fault(error),
        Failure::NoConnection(_) => Fault::Unavailable,
        Failure::Sorted(fault, _) => *fault,
        Failure::Unreadable(_) => Fault::Internal,
    };
    Failed { fault, reason: failure.to_string() }
}

/// What is done to a new connection before anybody gets it.
type SetUp<C> = Box<dyn Fn(&mut C) -> QueryResult<()> + Send + Sync>;

/// Makes connections, and says which are of no use any more.
pub(crate) struct Manager<C> {
    inner: ConnectionManager<C>,
    set_up: SetUp<C>,
    /// Counts the breaks that were seen. A connection from before the last one is not used again.
    generation: Arc<AtomicU64>,
}

/// A connection, and after how many breaks it was made.
pub(crate) struct Member<C> {
    connection: C,
    generation: u64,
}

impl<C> Deref for Member<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for Member<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

impl<C: Driver> Manager<C> {
    fn is_outdated(&self, member: &Member<C>) -> bool {
        member.generation < self.generation.load(Ordering::Acquire)
    }
}

impl<C: Driver> ManageConnection for Manager<C> {
    type Connection = Member<C>;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Member<C>, Self::Error> {
        // Read first: a break that is seen while this one is made counts against it.
        let generation = self.generation.load(Ordering::Acquire);
        let mut connection = self.inner.connect()?;
        (self.set_up)(&mut connection).map_err(diesel::r2d2::Error::QueryError)?;
        Ok(Member { connection, generation })
    }

    /// Asked when a connection is taken: no word to the server.
    fn is_valid(&self, member: &mut Member<C>) -> Result<(), Self::Error> {
        if self.is_outdated(member) {
            return Err(diesel::r2d2::Error::QueryError(
                diesel::result::Error::BrokenTransactionManager,
            ));
        }
        Ok(())
    }

    fn has_broken(&self, member: &mut Member<C>) -> bool {
        self.is_outdated(member) || self.inner.has_broken(&mut member.connection)
    }
}

/// Connections to one database, made when they are needed.
pub(crate) struct Pool<C: Driver> {
    inner: diesel::r2d2::Pool<Manager<C>>,
    generation: Arc<AtomicU64>,
    repeats: Arc<AtomicU64>,
}

impl<C: Driver> Clone for Pool<C> {
    /// Another hand on the same connections.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            generation: Arc::clone(&self.generation),
            repeats: Arc::clone(&self.repeats),
        }
    }
}

impl<C: Driver> Pool<C> {
    /// A pool of up to `max_size` connections to `address`. Nothing is opened yet.
    pub(crate) fn new(
        address: &str,
        max_size: NonZeroU32,
        connect_timeout: Duration,
        set_up: impl Fn(&mut C) -> QueryResult<()> + Send + Sync + 'static,
    ) -> Self {
        let generation = Arc::new(AtomicU64::new(0));
        let manager = Manager {
            inner: ConnectionManager::new(address),
            set_up: Box::new(set_up),
            generation: Arc::clone(&generation),
        };
        let inner = diesel::r2d2::Pool::builder()
            .max_size(max_size.get())
            .min_idle(Some(0))
            .connection_timeout(connect_timeout)
            .test_on_check_out(true)
            // The call that waits for the connection gets the reason; nothing else is told.
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(manager);
        Self { inner, generation, repeats: Arc::default() }
    }

    /// A connection. Waits up to the pool's timeout.
    pub(crate) fn take(&self) -> Result<PooledConnection<Manager<C>>, Failure> {
        Ok(self.inner.get()?)
    }

    /// Counts a transaction that is begun again.
    pub(crate) fn count_repeat(&self) {
        self.repeats.fetch_add(1, Ordering::Relaxed);
    }

    /// Transactions that were begun again.
    pub(crate) fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// How many connections there are.
    pub(crate) fn load(&self, pool: &'static str) -> PoolLoad {
        let state = self.inner.state();
        PoolLoad {
            pool,
            idle: state.idle_connections,
            busy: state.connections.saturating_sub(state.idle_connections),
        }
    }

    /// Connections that were made before now are not given out again.
    pub(crate) fn distrust_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

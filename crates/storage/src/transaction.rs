//! Transactions, single reads, and when either is retried.
//!
//! An attempt is retried only if it cannot have left anything behind: the database rolled it back,
//! or the connection was dead before its first statement. If the answer to a COMMIT is lost, the
//! outcome is unknown and the caller gets the error.

use std::time::Instant;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::r2d2::R2D2Connection;

use crate::error::{Error, ErrorKind};
use crate::pool::{Driver, Pool};

/// Maximum attempts for a transaction that loses to concurrent ones. Each attempt has already
/// waited for its locks in the database.
// After seven losses the caller gets `Unavailable`, and its clients retry with pauses.
const MAX_ATTEMPTS: u32 = 7;

/// How far an attempt got before it failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was executed, or only reads.
    Begin,
    /// Executed but not committed.
    Body,
    /// COMMIT was sent.
    Commit,
}

/// The reason an attempt failed.
struct FailedAttempt {
    stage: Stage,
    error: Error,
}

impl FailedAttempt {
    fn at(stage: Stage) -> impl FnOnce(Error) -> Self {
        move |error| Self { stage, error }
    }
}

/// Begins a transaction by `sql`, one statement or several, in one round trip. After an error no
/// transaction is open.
fn begin<C: Driver>(connection: &mut C, sql: &str) -> Result<(), Error> {
    AnsiTransactionManager::begin_transaction_sql(connection, sql).map_err(|error| {
        // The first statement of several may have opened the transaction.
        connection.batch_execute("ROLLBACK").ok();
        error.into()
    })
}

/// Runs `body` in a write transaction. It runs again for each attempt, and may then act
/// differently.
pub(crate) fn write<C: Driver, T>(
    pool: &Pool<C>,
    mut body: impl FnMut(&mut C) -> Result<T, Error>,
) -> Result<T, Error> {
    retry(pool, |connection| {
        // A failed BEGIN executed nothing, so a new connection may try again.
        begin(connection, C::BEGIN).map_err(FailedAttempt::at(Stage::Begin))?;
        match body(connection) {
            // The server may have committed before the error.
            Ok(value) => match commit(connection) {
                Ok(()) => Ok(value),
                Err(error) => Err(FailedAttempt { stage: Stage::Commit, error }),
            },
            Err(error) => {
                // If this fails too, the connection is marked broken and dropped.
                AnsiTransactionManager::rollback_transaction(connection).ok();
                Err(FailedAttempt { stage: Stage::Body, error })
            }
        }
    })
}

fn commit<C: Driver>(connection: &mut C) -> Result<(), Error> {
    let begun = Instant::now();
    AnsiTransactionManager::commit_transaction(connection)?;
    connection.confirm_commit(begun.elapsed())
}

/// Runs `body`, which only reads, without a transaction.
pub(crate) fn read<C: Driver, T>(
    pool: &Pool<C>,
    mut body: impl FnMut(&mut C) -> Result<T, Error>,
) -> Result<T, Error> {
    retry(pool, |connection| body(connection).map_err(FailedAttempt::at(Stage::Begin)))
}

/// Runs `body`, which only reads, in a transaction begun by `sql`.
pub(crate) fn read_in<C: Driver, T>(
    pool: &Pool<C>,
    sql: &str,
    mut body: impl FnMut(&mut C) -> Result<T, Error>,
) -> Result<T, Error> {
    retry(pool, |connection| {
        begin(connection, sql).map_err(FailedAttempt::at(Stage::Begin))?;
        let read = body(connection);
        let end = match read {
            // PostgreSQL counts rollbacks in `pg_stat_database`; a successful read is none.
            Ok(_) => AnsiTransactionManager::commit_transaction(connection),
            Err(_) => AnsiTransactionManager::rollback_transaction(connection),
        };
        // Nothing can be lost. If this fails, the connection is marked broken and dropped.
        end.ok();
        read.map_err(FailedAttempt::at(Stage::Begin))
    })
}

fn retry<C: Driver, T>(
    pool: &Pool<C>,
    mut attempt: impl FnMut(&mut C) -> Result<T, FailedAttempt>,
) -> Result<T, Error> {
    let mut attempts = 0;
    let mut reconnected = false;
    loop {
        attempts += 1;
        let mut connection = pool.get()?;
        let FailedAttempt { stage, mut error } = match attempt(&mut connection) {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        // Asked before the error's kind: a message of a dead connection can look like any error.
        // diesel misses a connection that was lost while a statement was prepared.
        let broken =
            R2D2Connection::is_broken(&mut **connection) || error.kind == ErrorKind::Disconnected;
        if broken {
            // Before the connection returns to the pool, so that no other thread can take it.
            pool.invalidate_all();
        }
        // Returned to the pool, which drops it if it is broken or outdated.
        drop(connection);
        if broken {
            // Whatever the message says, the database may recover.
            error.kind = ErrorKind::Unavailable;
            // It broke while idle, as after a server restart: one new connection is tried.
            if stage == Stage::Begin && !reconnected {
                reconnected = true;
                pool.count_retry();
                continue;
            }
        } else if matches!(error.kind, ErrorKind::Conflict | ErrorKind::KeyTaken)
            && attempts < MAX_ATTEMPTS
        {
            // The caller counts a taken key as a fallback, not as a retry.
            if error.kind == ErrorKind::Conflict {
                pool.count_retry();
            }
            continue;
        }
        return Err(error);
    }
}

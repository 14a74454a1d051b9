//! Transactions that write, statements that read, and when either is tried again.
//!
//! A try is repeated only where nothing of it can have stayed: the database said that it was rolled back, or the
//! connection was dead before anything was asked of it. Where the answer to a COMMIT is lost, nobody knows, and the caller
//! is told so.

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::r2d2::R2D2Connection;

use crate::error::{Failed, Failure, Fault};
use crate::pool::{Driver, Pool, failed};

/// How often a transaction is tried that others push aside. The database has waited for its locks each time.
const MAX_TRIES: u32 = 7;

/// How far a try came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing had been asked of the connection, or nothing that stays.
    Begin,
    /// The work itself: without its COMMIT, nothing of it stays.
    Body,
    /// The COMMIT was sent.
    Commit,
}

/// Opens a transaction by `sql`: one statement or several, in one round trip. After an error there is none.
pub(crate) fn begin<C: Driver>(connection: &mut C, sql: &str) -> Result<(), Failure> {
    AnsiTransactionManager::begin_transaction_sql(connection, sql).map_err(|error| {
        // Its first statement may have opened the transaction.
        connection.batch_execute("ROLLBACK").ok();
        error.into()
    })
}

/// Runs `body` in a transaction and commits it. It may run several times, and may go another way the next time; only what it
/// did last stays.
pub(crate) fn write<C: Driver, T>(
    pool: &Pool<C>,
    mut body: impl FnMut(&mut C) -> Result<T, Failure>,
) -> Result<T, Failed> {
    repeat(pool, |connection| {
        begin(connection, C::BEGIN).map_err(|failure| (Stage::Begin, failure))?;
        match body(connection) {
            Ok(value) => AnsiTransactionManager::commit_transaction(connection)
                .map(|()| value)
                .map_err(|error| (Stage::Commit, error.into())),
            Err(failure) => {
                // Where this fails too, the connection knows that it is broken, and is dropped with its transaction.
                AnsiTransactionManager::rollback_transaction(connection).ok();
                Err((Stage::Body, failure))
            }
        }
    })
}

/// Runs `body`, which only reads.
pub(crate) fn read<C: Driver, T>(
    pool: &Pool<C>,
    mut body: impl FnMut(&mut C) -> Result<T, Failure>,
) -> Result<T, Failed> {
    repeat(pool, |connection| body(connection).map_err(|failure| (Stage::Begin, failure)))
}

/// Runs `body`, which only reads, in a transaction that `sql` opens. See [`begin`].
pub(crate) fn read_in<C: Driver, T>(
    pool: &Pool<C>,
    sql: &str,
    mut body: impl FnMut(&mut C) -> Result<T, Failure>,
) -> Result<T, Failed> {
    repeat(pool, |connection| {
        begin(connection, sql).map_err(|failure| (Stage::Begin, failure))?;
        let read = body(connection);
        let end = match read {
            Ok(_) => AnsiTransactionManager::commit_transaction(connection),
            Err(_) => AnsiTransactionManager::rollback_transaction(connection),
        };
        // There is nothing to lose. Where the end fails, the connection knows that it is broken, and is dropped.
        end.ok();
        read.map_err(|failure| (Stage::Begin, failure))
    })
}

fn repeat<C: Driver, T>(
    pool: &Pool<C>,
    mut attempt: impl FnMut(&mut C) -> Result<T, (Stage, Failure)>,
) -> Result<T, Failed> {
    let mut tries = 0;
    let mut reconnected = false;
    loop {
        tries += 1;
        let mut connection = pool.take().map_err(failed::<C>)?;
        let (stage, failure) = match attempt(&mut connection) {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        let mut failed = failed::<C>(failure);
        let broken = R2D2Connection::is_broken(&mut **connection);
        drop(connection);
        if broken {
            pool.distrust_all();
            failed.fault = Fault::Unavailable;
            // It died while it was idle, as all do when the server restarts: a new one may be had.
            if stage == Stage::Begin && !reconnected {
                reconnected = true;
                pool.count_repeat();
                continue;
            }
        } else if matches!(failed.fault, Fault::Conflict | Fault::KeyTaken) && tries < MAX_TRIES {
            // A key that is taken is no rival's doing: the caller counts its other way.
            if failed.fault == Fault::Conflict {
                pool.count_repeat();
            }
            continue;
        }
        return Err(failed);
    }
}

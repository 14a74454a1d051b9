//! Answers that wait for a synchronous standby (`synchronous_standby_names`).
//!
//! A COMMIT waits for the standby only if its transaction wrote WAL under an id; an id alone is not
//! enough. Events that a transaction finds may be visible and yet on the primary alone, for example
//! after a restart during the first COMMIT. So a group of duplicates writes a record too, see
//! `events/claim.rs`.
//!
//! The wait can be cancelled: the COMMIT then succeeds with a warning, and the events may be on the
//! primary alone. This file finds that out.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::error::{Error, ErrorKind};

/// Whether a COMMIT of this session waits for a standby.
const WAITS: &str = "current_setting('synchronous_standby_names') <> ''
    AND current_setting('synchronous_commit') NOT IN ('off', 'local')";

/// A transaction that waits until the standby has flushed everything before it.
const CONFIRMATION: &str = "BEGIN; SET LOCAL synchronous_commit = on;
    SELECT pg_logical_emit_message(true, 'mercurio', ''); COMMIT";

/// Duration from which a COMMIT is confirmed. A cancelled one waited at least for the hand of an
/// operator or a script, and nearly all others are faster.
const SUSPICIOUS: Duration = Duration::from_millis(10);

/// Duration from which a confirmation may have been cancelled itself.
const UNCONFIRMED: Duration = Duration::from_secs(1);

/// Confirmations tried before the fate of the commit counts as unknown.
const MAX_CONFIRMATIONS: u32 = 3;

/// Checks that a COMMIT that took `took` reached the standby.
///
/// The warning of a cancelled wait does not reach diesel's callers. So a second transaction waits
/// for the standby after each slow COMMIT: standbys receive WAL in order. The statement timeout
/// does not apply to the wait, so only `pg_cancel_backend` cancels one.
pub(super) fn confirm_commit(connection: &mut PgConnection, took: Duration) -> Result<(), Error> {
    if took < SUSPICIOUS {
        return Ok(());
    }
    let is_confirmed = wait_for_standby(connection).map_err(|error| {
        // The first statement of several may have opened a transaction.
        connection.batch_execute("ROLLBACK").ok();
        unknown(&error.message)
    })?;
    if is_confirmed { Ok(()) } else { Err(unknown("the standby is slow")) }
}

/// The commit itself succeeded, so whatever the cause, the transaction must not be retried.
fn unknown(cause: &str) -> Error {
    let message = format!("a commit may not have reached the standby: {cause}");
    Error::new(ErrorKind::Unavailable, message)
}

fn wait_for_standby(connection: &mut PgConnection) -> Result<bool, Error> {
    if !waits_for_standby(connection)? {
        return Ok(true);
    }
    for _ in 0..MAX_CONFIRMATIONS {
        let begun = Instant::now();
        connection.batch_execute(CONFIRMATION)?;
        if begun.elapsed() < UNCONFIRMED {
            return Ok(true);
        }
    }
    Ok(false)
}

fn waits_for_standby(connection: &mut PgConnection) -> Result<bool, Error> {
    Ok(diesel::select(diesel::dsl::sql::<Bool>(WAITS)).get_result(connection)?)
}

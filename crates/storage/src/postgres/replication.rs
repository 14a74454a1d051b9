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
use diesel::sql_types::{Bool, Text};

use crate::error::{Error, ErrorKind};

/// Whether a COMMIT of this session waits for a standby.
const WAITS: &str = "current_setting('synchronous_standby_names') <> ''
    AND current_setting('synchronous_commit') NOT IN ('off', 'local')";

/// A transaction that waits until the standby has flushed everything before it.
const CONFIRMATION: &str = "BEGIN; SET LOCAL synchronous_commit = on;
    SELECT pg_logical_emit_message(true, 'mercurio', ''); COMMIT";

/// Whether this role sees the positions of standbys.
const SEES_STANDBYS: &str = "pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')";

/// Compares the number of synchronous standbys with the one that a COMMIT waits for: the number in
/// `FIRST 2 (a, b, c)`, `ANY 2 (…)` or `2 (…)`, and 1 in a plain list. Unfinished: a condition and a
/// bracket follow.
const ENOUGH_STANDBYS: &str = r"(SELECT count(*) >= coalesce(substring(
        current_setting('synchronous_standby_names') FROM '(?i)^\s*(?:first\s+|any\s+)?(\d+)\s*\('
    )::int, 1)
    FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')";

/// Pause between two looks at the standby's position.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Duration from which a COMMIT is confirmed. A cancelled one waited at least for the hand of an
/// operator or a script, and nearly all others are faster.
const SUSPICIOUS: Duration = Duration::from_millis(10);

/// Duration from which a confirmation may have been cancelled itself.
const UNCONFIRMED: Duration = Duration::from_secs(1);

/// Confirmations tried before the fate of the commit counts as unknown.
const MAX_CONFIRMATIONS: u32 = 3;

/// Checks that a COMMIT that took `took` reached the standby.
///
/// The warning of a cancelled wait does not reach diesel's callers. So after each slow COMMIT, the
/// standby's position is compared with the primary's. A role without `pg_read_all_stats` does not
/// see it: there, a second transaction waits for the standby, which receives WAL in order, and only
/// a second cancellation within a second goes unnoticed. The statement timeout does not apply to
/// either wait, so only `pg_cancel_backend` cancels one.
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
    if !evaluates_to_true(connection, WAITS)? {
        return Ok(true);
    }
    if evaluates_to_true(connection, SEES_STANDBYS)? {
        return wait_for_position(connection);
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

/// Waits until as many standbys as the settings ask for have flushed all of the present WAL.
fn wait_for_position(connection: &mut PgConnection) -> Result<bool, Error> {
    let position = diesel::dsl::sql::<Text>("pg_current_wal_insert_lsn()::text");
    let position: String = diesel::select(position).get_result(connection)?;
    let has_flushed = format!("{ENOUGH_STANDBYS} AND flush_lsn >= '{position}'::pg_lsn)");
    let begun = Instant::now();
    while begun.elapsed() < UNCONFIRMED * MAX_CONFIRMATIONS {
        if evaluates_to_true(connection, &has_flushed)? {
            return Ok(true);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(false)
}

fn evaluates_to_true(connection: &mut PgConnection, condition: &str) -> Result<bool, Error> {
    Ok(diesel::select(diesel::dsl::sql::<Bool>(condition)).get_result(connection)?)
}

//! How PostgreSQL connections are opened and configured.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::{feed, replication, versions};
use crate::error::Error;
use crate::pool::Driver;

/// Settings of read connections.
///
/// The default cost of a random page is meant for spinning disks. With it, the planner reads and
/// sorts all events of a small workspace instead of walking the index on time.
pub(super) const READER_SETTINGS: &str = "SET random_page_cost = 1.1";

/// Settings of write connections.
/// - `force_generic_plan`: the statements with array parameters have one good plan, and planning
///   each call would cost as much as executing it.
/// - `read committed`: a statement that waited for a lock must see all earlier commits.
///   Summing counts and finishing a tenant's deletion depend on it.
/// - `jit = off`: summing counts is not worth compiling.
/// - `idle_in_transaction_session_timeout`: releases the locks of a server that lost its
///   connection. TCP alone may take hours to notice. No transaction here is idle for long.
const WRITER_SETTINGS: &str = "
    SET plan_cache_mode = force_generic_plan;
    SET default_transaction_isolation = 'read committed';
    SET jit = off;
    SET idle_in_transaction_session_timeout = 10000";

impl Driver for PgConnection {
    const BEGIN: &'static str = "BEGIN";

    fn prepare_migration(&mut self, in_transaction: bool) -> QueryResult<()> {
        versions::prepare(self, in_transaction)
    }

    fn confirm_commit(&mut self, took: Duration) -> Result<(), Error> {
        replication::confirm_commit(self, took)
    }
}

/// Settings of connections that hold a lease or a lock for long. If the machine of the holder
/// vanishes, PostgreSQL would keep them for the two hours of Linux' default keepalive.
pub(super) const DEDICATED_SETTINGS: &str = "SET tcp_keepalives_idle = 30;
    SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";

/// Configures a new connection.
pub(super) fn set_up(
    connection: &mut PgConnection,
    statement_timeout: Duration,
    settings: &str,
) -> QueryResult<()> {
    // One round trip for all settings of a new connection.
    connection.batch_execute(&format!(
        "SET statement_timeout = {}; {settings}",
        statement_timeout.as_millis()
    ))?;
    // diesel exposes few error codes, so other errors are classified by their English message. Only
    // superusers may set this. For other roles on a server with another language, such an error is
    // internal, and the group writer decides it by a probe.
    connection.batch_execute("SET lc_messages = 'C'").ok();
    Ok(())
}

/// Fails if two open connections share a session: a pooler in transaction mode assigns one to each
/// transaction. A busy pooler may pass, and then fails later, at a prepared statement.
pub(super) fn check_sessions(
    one: &mut PgConnection,
    other: &mut PgConnection,
) -> Result<(), Error> {
    let (one, other) = (session_id(one)?, session_id(other)?);
    if one == other {
        return Err(Error::shared_session(format_args!("two connections share the session {one}")));
    }
    Ok(())
}

/// The id of the server process behind a connection. Read without a prepared statement.
fn session_id(connection: &mut PgConnection) -> Result<i32, Error> {
    #[derive(QueryableByName)]
    struct Session {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        pid: i32,
    }
    let session: Session =
        diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result(connection)?;
    Ok(session.pid)
}

/// Configures a new write connection.
pub(super) fn set_up_writer(
    statement_timeout: Duration,
) -> impl Fn(&mut PgConnection) -> QueryResult<()> {
    move |connection| {
        set_up(connection, statement_timeout, WRITER_SETTINGS)?;
        feed::begin_era(connection);
        Ok(())
    }
}

/// Returns the set-up of a pool's connections.
pub(super) fn set_up_with(
    statement_timeout: Duration,
    settings: &'static str,
) -> impl Fn(&mut PgConnection) -> QueryResult<()> {
    move |connection| set_up(connection, statement_timeout, settings)
}

//! Whether the database accepts writes, found out without its messages: they may be in any language.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::error::{Error, ErrorKind};

/// A probe waits no longer than this, and fills no other disk than that of the tables.
const SETTINGS: &str = "SET LOCAL statement_timeout = 5000; SET LOCAL temp_tablespaces = ''";

/// Fills about 1 MiB of disk and leaves nothing behind after the commit. On a full disk smaller
/// writes may still succeed, because pages already allocated have room.
const FILL_TEMPORARY_TABLE: &str = "CREATE TEMPORARY TABLE mercurio_probe ON COMMIT DROP
    AS SELECT number FROM generate_series(1, 30000) AS number";

/// The same in a table of ours, for roles without the `TEMPORARY` privilege. The rows are rolled
/// back, and the next vacuum frees their pages.
const FILL_LOG: &str = "SAVEPOINT probe;
    INSERT INTO count_log (hour, tenant_ids, workspace_ids, event_names, counts)
    SELECT now(), '{}', '{}', '{}', '{}' FROM generate_series(1, 15000);
    ROLLBACK TO probe";

/// Fails if the server is a standby or read-only.
pub(super) fn check_writable(connection: &mut PgConnection) -> Result<(), Error> {
    let is_writable = diesel::dsl::sql::<Bool>(
        "NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'",
    );
    if diesel::select(is_writable).get_result(connection)? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unavailable, "the database is read-only"))
}

/// Writes something that the end of the transaction removes.
pub(super) fn write(connection: &mut PgConnection) -> Result<(), Error> {
    let may_create_temporary =
        diesel::dsl::sql::<Bool>("has_database_privilege(current_database(), 'TEMPORARY')");
    connection.batch_execute(SETTINGS)?;
    let fill = if diesel::select(may_create_temporary).get_result(connection)? {
        FILL_TEMPORARY_TABLE
    } else {
        FILL_LOG
    };
    Ok(connection.batch_execute(fill)?)
}

//! The tables in SQLite. There, the unique key is a constraint of `events`, and no key can be
//! without its event.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;

use super::error::ReadError;
use super::rows::{CountRow, EventRow, UsageRow};
use crate::comparison::Comparison;

const EVENTS: &str = "
    SELECT tenant_id, workspace_id, event_id, event_name, received_at, user_id, anonymous_id,
           session_id, properties, traits, context
    FROM events WHERE removed_at IS NULL";

const COUNTS: &str = "SELECT tenant_id, workspace_id, event_name, hour, accepted FROM event_counts";

const USAGE: &str = "SELECT tenant_id, month, used FROM tenant_usage";

/// Adds all rows to `comparison`.
pub(super) fn read(
    connection: &mut SqliteConnection,
    comparison: &mut Comparison<'_>,
) -> Result<(), ReadError> {
    // A server may be writing. The transaction begins with its first read.
    connection.batch_execute("PRAGMA busy_timeout = 60000; BEGIN")?;
    for row in sql_query(EVENTS).load_iter::<EventRow, _>(connection)? {
        comparison.row(row?.stored()?);
    }
    for row in sql_query(COUNTS).load::<CountRow>(connection)? {
        comparison.count(row.stored()?);
    }
    for row in sql_query(USAGE).load::<UsageRow>(connection)? {
        comparison.usage(row.stored()?);
    }
    Ok(())
}

//! The tables in PostgreSQL. Keys and counts are tables of their own, and can contradict `events`.

use diesel::connection::SimpleConnection;
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::sql_query;
use mercurio_domain::TenantId;

use super::error::ReadError;
use super::rows::{CountRow, EventRow, OrphanRow, UsageRow};
use crate::comparison::Comparison;

const EVENTS: &str = "
    SELECT tenant_id, workspace_id, event_id, event_name,
           (extract(epoch FROM received_at) * 1000000)::bigint AS received_at,
           user_id, anonymous_id, session_id,
           properties::text AS properties, traits::text AS traits, context::text AS context
    FROM events";

// The key of an event also holds the event's workspace and times: readers find the event by them.
const KEYS_WITHOUT_EVENT: &str = "
    SELECT tenant_id, key::text AS id FROM event_keys
    WHERE NOT EXISTS (
        SELECT FROM events
        WHERE events.tenant_id = event_keys.tenant_id AND events.key = event_keys.key
          AND events.workspace_id = event_keys.workspace_id
          AND events.occurred_at = event_keys.occurred_at
          AND events.received_at = event_keys.received_at)";

const EVENTS_WITHOUT_KEY: &str = "
    SELECT tenant_id, event_id AS id FROM events
    WHERE NOT EXISTS (
        SELECT FROM event_keys
        WHERE event_keys.tenant_id = events.tenant_id AND event_keys.key = events.key
          AND event_keys.workspace_id = events.workspace_id
          AND event_keys.occurred_at = events.occurred_at
          AND event_keys.received_at = events.received_at)";

const COUNTS: &str = "
    SELECT tenant_id, workspace_id, event_name,
           (extract(epoch FROM hour) * 1000000)::bigint AS hour, accepted
    FROM event_counts";

const LOGGED_COUNTS: &str = "
    SELECT tenant_id, workspace_id, event_name,
           (extract(epoch FROM hour) * 1000000)::bigint AS hour, accepted
    FROM count_log,
         unnest(tenant_ids, workspace_ids, event_names, counts)
             AS logged (tenant_id, workspace_id, event_name, accepted)";

const USAGE: &str = "SELECT tenant_id, month, used FROM tenant_usage";

/// Adds all rows to `comparison`.
pub(super) fn read(
    connection: &mut PgConnection,
    comparison: &mut Comparison<'_>,
) -> Result<(), ReadError> {
    // Sorting millions of keys on disk would take minutes.
    connection.batch_execute(
        "SET work_mem = '512MB'; BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    )?;
    for row in sql_query(EVENTS).load_iter::<EventRow, PgRowByRowLoadingMode>(connection)? {
        comparison.row(row?.stored()?);
    }
    for row in sql_query(KEYS_WITHOUT_EVENT).load::<OrphanRow>(connection)? {
        comparison.key_without_event(TenantId(row.tenant_id), row.id);
    }
    for row in sql_query(EVENTS_WITHOUT_KEY).load::<OrphanRow>(connection)? {
        comparison.event_without_key(row.event());
    }
    for row in sql_query(COUNTS).load::<CountRow>(connection)? {
        comparison.count(row.stored()?);
    }
    // Usage and counts share one log.
    for row in sql_query(LOGGED_COUNTS).load::<CountRow>(connection)? {
        comparison.usage(row.usage()?);
        comparison.count(row.stored()?);
    }
    for row in sql_query(USAGE).load::<UsageRow>(connection)? {
        comparison.usage(row.stored()?);
    }
    Ok(())
}

//! Counts of stored events in SQLite, updated in the transaction that stores them. With one writer,
//! no transaction waits for another.

use std::collections::BTreeMap;

use diesel::prelude::*;
use mercurio_domain::TenantId;
use mercurio_domain::limits::Month;
use mercurio_domain::store::{CountQuery, EventCount};

use super::shared::schema::{event_counts, tenant_usage};
use crate::counts::{self, CountRow, UsageRow};
use crate::error::Error;
use crate::rows::Micros;
use crate::verdicts::Candidate;

/// Maximum tenants per statement. SQLite allows 32,766 parameters.
const MAX_PARAMETERS: usize = 10_000;

/// Adds the counts of a group.
pub(super) fn add(
    connection: &mut SqliteConnection,
    stored: &[Candidate<'_>],
) -> Result<(), Error> {
    let mut monthly = BTreeMap::new();
    for (received, counts) in counts::of_stored(stored) {
        for (key, count) in counts {
            let tenant_id = key.owner.tenant_id.0;
            *monthly.entry((tenant_id, Month::of(received))).or_insert(0) += count;
            use event_counts::{accepted, event_name, hour, workspace_id};
            diesel::insert_into(event_counts::table)
                .values((
                    event_counts::tenant_id.eq(tenant_id),
                    workspace_id.eq(key.owner.workspace_id.0),
                    event_name.eq(key.event_name),
                    hour.eq(Micros::from(received)),
                    accepted.eq(count),
                ))
                .on_conflict((event_counts::tenant_id, workspace_id, event_name, hour))
                .do_update()
                .set(accepted.eq(accepted + count))
                .execute(connection)?;
        }
    }
    for ((tenant_id, month), count) in monthly {
        use tenant_usage::used;
        diesel::insert_into(tenant_usage::table)
            .values((
                tenant_usage::tenant_id.eq(tenant_id),
                tenant_usage::month.eq(i64::from(month.number())),
                used.eq(count),
            ))
            .on_conflict((tenant_usage::tenant_id, tenant_usage::month))
            .do_update()
            .set(used.eq(used + count))
            .execute(connection)?;
    }
    Ok(())
}

pub(super) fn usage(
    connection: &mut SqliteConnection,
    tenants: &[TenantId],
    month: Month,
) -> Result<Vec<u64>, Error> {
    let mut rows: Vec<UsageRow> = Vec::new();
    for chunk in tenants.chunks(MAX_PARAMETERS) {
        let query = tenant_usage::table
            .filter(tenant_usage::month.eq(i64::from(month.number())))
            .filter(tenant_usage::tenant_id.eq_any(chunk.iter().map(|tenant_id| tenant_id.0)))
            .select((tenant_usage::tenant_id, tenant_usage::used));
        rows.extend(query.load::<UsageRow>(connection)?);
    }
    Ok(counts::in_order(tenants, &rows))
}

pub(super) fn event_counts(
    connection: &mut SqliteConnection,
    query: &CountQuery,
) -> Result<Vec<EventCount>, Error> {
    use event_counts::{accepted, event_name, hour, table, tenant_id, workspace_id};
    let mut rows = table
        .filter(tenant_id.eq(query.owner.tenant_id.0))
        .filter(workspace_id.eq(query.owner.workspace_id.0))
        .filter(hour.ge(Micros::from(query.from)))
        .filter(hour.lt(Micros::from(query.to)))
        .order((event_name, hour))
        .select((event_name, hour, accepted))
        .into_boxed();
    if let Some(name) = &query.event_name {
        rows = rows.filter(event_name.eq(name));
    }
    Ok(rows.load::<CountRow>(connection)?.into_iter().map(CountRow::into_count).collect())
}

/// There is no log, so a sum leaves nothing in it.
pub(super) fn is_partial(_: u64) -> bool {
    false
}

/// SQLite keeps no log.
pub(super) fn sum(_: &mut SqliteConnection) -> Result<u64, Error> {
    Ok(0)
}

/// The write transaction of the caller excludes all others.
pub(super) fn lock_sums(_: &mut SqliteConnection) -> Result<(), Error> {
    Ok(())
}

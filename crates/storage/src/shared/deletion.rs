//! Deleting a tenant: marking it, counting the removed rows, removing its catalog.

use diesel::prelude::*;
use mercurio_domain::store::{Removed, TenantRows};
use mercurio_domain::{TenantId, Timestamp};

use super::schema::{
    api_keys, event_counts, tenant_deletions, tenant_limits, tenant_usage, tenants, workspaces,
};
use super::{DbConnection, counts};
use crate::error::Error;
use crate::rows::{self, Micros};

/// Totals of a deletion so far.
#[derive(Debug, Default, Queryable)]
struct DeletionRow {
    events: i64,
    event_keys: i64,
}

/// Marks the tenant unless it is marked, and returns the time of the first mark.
pub(crate) fn begin_deletion(
    connection: &mut DbConnection,
    tenant_id: TenantId,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let tenant = tenants::table.filter(tenants::id.eq(tenant_id.0));
    diesel::update(tenant.filter(tenants::deleted_at.is_null()))
        .set(tenants::deleted_at.eq(Micros::from(now)))
        .execute(connection)?;
    // After the update, so that all callers get the time of the first mark.
    let since = tenant.select(tenants::deleted_at).first::<Option<Micros>>(connection);
    Ok(rows::optional_timestamp(since.optional()?.flatten()))
}

/// Adds the rows of one step to the totals, in the step's transaction.
pub(crate) fn count_removed(
    connection: &mut DbConnection,
    tenant_id: TenantId,
    removed: &Removed,
) -> Result<(), Error> {
    use tenant_deletions::{event_keys, events, table, tenant_id as id};
    // Steps that remove only counts leave the totals unchanged.
    if removed.events == 0 && removed.keys == 0 {
        return Ok(());
    }
    let (more_events, more_keys) = (removed.events as i64, removed.keys as i64);
    diesel::insert_into(table)
        .values((id.eq(tenant_id.0), events.eq(more_events), event_keys.eq(more_keys)))
        .on_conflict(id)
        .do_update()
        .set((events.eq(events + more_events), event_keys.eq(event_keys + more_keys)))
        .execute(connection)?;
    Ok(())
}

/// Removes all rows of a marked tenant but its events. The tenant's own row goes last.
pub(crate) fn finish_deletion(
    connection: &mut DbConnection,
    tenant_id: TenantId,
) -> Result<Option<TenantRows>, Error> {
    let id = tenant_id.0;
    let marked =
        tenants::table.filter(tenants::id.eq(id)).filter(tenants::deleted_at.is_not_null());
    // Also protects a tenant from a caller that never began its deletion.
    if marked.select(tenants::id).first::<i64>(connection).optional()?.is_none() {
        return Ok(None);
    }
    // A concurrent sum may still see the tenant and add its counts.
    counts::lock_sums(connection)?;
    // Late groups may have added counts after the last step.
    diesel::delete(event_counts::table.filter(event_counts::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(tenant_usage::table.filter(tenant_usage::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(tenant_limits::table.filter(tenant_limits::tenant_id.eq(id)))
        .execute(connection)?;
    let totals = tenant_deletions::table.filter(tenant_deletions::tenant_id.eq(id));
    let removed = totals
        .select((tenant_deletions::events, tenant_deletions::event_keys))
        .first::<DeletionRow>(connection)
        .optional()?
        // A tenant without events has no totals.
        .unwrap_or_default();
    diesel::delete(totals).execute(connection)?;
    // Keys before workspaces, and both before the tenant: each refers to the next.
    let api_keys =
        diesel::delete(api_keys::table.filter(api_keys::tenant_id.eq(id))).execute(connection)?;
    let workspaces = diesel::delete(workspaces::table.filter(workspaces::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(tenants::table.filter(tenants::id.eq(id))).execute(connection)?;
    Ok(Some(TenantRows {
        events: removed.events.unsigned_abs(),
        event_keys: removed.event_keys.unsigned_abs(),
        workspaces: workspaces as u64,
        api_keys: api_keys as u64,
    }))
}

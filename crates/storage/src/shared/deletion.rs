//! Deleting a tenant or a workspace: marking it, counting the removed rows, removing its catalog.

use diesel::prelude::*;
use mercurio_domain::store::{AuditEntry, DeletedRows, Deletion, Removed, TenantRef};
use mercurio_domain::{Owner, TenantId, Timestamp};

use super::schema::{
    api_keys, deletions, event_counts, feed_consumers, tenant_limits, tenant_usage, tenants,
    workspaces,
};
use super::{DbConnection, catalog, counts, rejections};
use crate::error::Error;
use crate::rows::{self, Micros};

/// Totals of a deletion so far.
#[derive(Debug, Default, Queryable)]
struct DeletionRow {
    events: i64,
    event_keys: i64,
    rejections: i64,
}

/// Rows of the catalog removed by the last step of a deletion.
struct CatalogRows {
    workspaces: usize,
    api_keys: usize,
}

/// The value of `deletions.workspace_id`.
fn workspace_of(deletion: Deletion) -> i64 {
    deletion.workspace_id().map_or(0, |id| id.0)
}

/// Marks the tenant or workspace unless it is marked, and returns the time of the first mark.
pub(crate) fn begin_deletion(
    connection: &mut DbConnection,
    deletion: Deletion,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let now = Some(Micros::from(now));
    // Read after the update, so that all callers get the time of the first mark.
    let since = match deletion {
        Deletion::Tenant(id) => {
            let tenant = tenants::table.filter(tenants::id.eq(id.0));
            diesel::update(tenant.filter(tenants::deleted_at.is_null()))
                .set(tenants::deleted_at.eq(now))
                .execute(connection)?;
            tenant.select(tenants::deleted_at).first::<Option<Micros>>(connection).optional()?
        }
        Deletion::Workspace(Owner { tenant_id, workspace_id }) => {
            let workspace = workspaces::table
                .filter(workspaces::tenant_id.eq(tenant_id.0))
                .filter(workspaces::id.eq(workspace_id.0));
            diesel::update(workspace.filter(workspaces::deleted_at.is_null()))
                .set(workspaces::deleted_at.eq(now))
                .execute(connection)?;
            let since =
                workspace.select(workspaces::deleted_at).first::<Option<Micros>>(connection);
            since.optional()?
        }
    };
    Ok(rows::optional_timestamp(since.flatten()))
}

/// The audit entry of a begun deletion, with the name: the row will be gone. `None` if there is no
/// such tenant or workspace.
pub(crate) fn entry_of_begun(
    connection: &mut DbConnection,
    deletion: Deletion,
) -> Result<Option<AuditEntry>, Error> {
    let name = match deletion {
        Deletion::Tenant(id) => {
            catalog::tenant(connection, &TenantRef::Id(id))?.map(|found| found.tenant.name)
        }
        Deletion::Workspace(owner) => {
            catalog::workspace(connection, owner)?.map(|workspace| workspace.name)
        }
    };
    Ok(name.map(|name| AuditEntry::deletion_begun(deletion, &name)))
}

/// Adds the rows of one step to the totals, in the step's transaction.
pub(crate) fn count_removed(
    connection: &mut DbConnection,
    deletion: Deletion,
    removed: &Removed,
) -> Result<(), Error> {
    use deletions::{event_keys, events, rejections, table, tenant_id, workspace_id};
    // Steps that remove only counts leave the totals unchanged.
    if (removed.events, removed.keys, removed.rejections) == (0, 0, 0) {
        return Ok(());
    }
    let (more_events, more_keys) = (removed.events as i64, removed.keys as i64);
    let more_rejections = removed.rejections as i64;
    diesel::insert_into(table)
        .values((
            tenant_id.eq(deletion.tenant_id().0),
            workspace_id.eq(workspace_of(deletion)),
            events.eq(more_events),
            event_keys.eq(more_keys),
            rejections.eq(more_rejections),
        ))
        .on_conflict((tenant_id, workspace_id))
        .do_update()
        .set((
            events.eq(events + more_events),
            event_keys.eq(event_keys + more_keys),
            rejections.eq(rejections + more_rejections),
        ))
        .execute(connection)?;
    Ok(())
}

/// Removes all rows of a marked tenant or workspace but its events. Its own row goes last.
pub(crate) fn finish_deletion(
    connection: &mut DbConnection,
    deletion: Deletion,
) -> Result<Option<DeletedRows>, Error> {
    // Also protects a tenant from a caller that never began its deletion.
    if !is_marked(connection, deletion)? {
        return Ok(None);
    }
    // A concurrent sum may still see the tenant or workspace and add its counts.
    counts::lock_sums(connection)?;
    let removed = deletions::table
        .filter(deletions::tenant_id.eq(deletion.tenant_id().0))
        .filter(deletions::workspace_id.eq(workspace_of(deletion)))
        .select((deletions::events, deletions::event_keys, deletions::rejections))
        .first::<DeletionRow>(connection)
        .optional()?
        // Without events there are no totals.
        .unwrap_or_default();
    // Servers may have recorded some after the last step.
    let late = rejections::remove_late(connection, deletion)?;
    let CatalogRows { workspaces, api_keys } = match deletion {
        Deletion::Tenant(id) => remove_tenant(connection, id)?,
        Deletion::Workspace(owner) => remove_workspace(connection, owner)?,
    };
    Ok(Some(DeletedRows {
        events: removed.events.unsigned_abs(),
        event_keys: removed.event_keys.unsigned_abs(),
        rejections: removed.rejections.unsigned_abs() + late,
        workspaces: workspaces as u64,
        api_keys: api_keys as u64,
    }))
}

fn is_marked(connection: &mut DbConnection, deletion: Deletion) -> Result<bool, Error> {
    let marked = match deletion {
        Deletion::Tenant(id) => tenants::table
            .filter(tenants::id.eq(id.0))
            .filter(tenants::deleted_at.is_not_null())
            .select(tenants::id)
            .first::<i64>(connection),
        Deletion::Workspace(Owner { tenant_id, workspace_id }) => workspaces::table
            .filter(workspaces::tenant_id.eq(tenant_id.0))
            .filter(workspaces::id.eq(workspace_id.0))
            .filter(workspaces::deleted_at.is_not_null())
            .select(workspaces::id)
            .first::<i64>(connection),
    };
    Ok(marked.optional()?.is_some())
}

fn remove_tenant(connection: &mut DbConnection, id: TenantId) -> Result<CatalogRows, Error> {
    let id = id.0;
    // Late groups may have added counts after the last step.
    diesel::delete(event_counts::table.filter(event_counts::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(tenant_usage::table.filter(tenant_usage::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(tenant_limits::table.filter(tenant_limits::tenant_id.eq(id)))
        .execute(connection)?;
    // With those of workspaces whose deletion was interrupted.
    diesel::delete(deletions::table.filter(deletions::tenant_id.eq(id))).execute(connection)?;
    diesel::delete(feed_consumers::table.filter(feed_consumers::tenant_id.eq(id)))
        .execute(connection)?;
    // Keys and consumers before workspaces, and those before the tenant: each refers to the next.
    let api_keys =
        diesel::delete(api_keys::table.filter(api_keys::tenant_id.eq(id))).execute(connection)?;
    let workspaces = diesel::delete(workspaces::table.filter(workspaces::tenant_id.eq(id)))
        .execute(connection)?;
    diesel::delete(tenants::table.filter(tenants::id.eq(id))).execute(connection)?;
    Ok(CatalogRows { workspaces, api_keys })
}

/// Leaves the tenant's usage as it is: a quota counts what was stored, and deleting a workspace must
/// not make room in it.
fn remove_workspace(connection: &mut DbConnection, owner: Owner) -> Result<CatalogRows, Error> {
    let (tenant, workspace) = (owner.tenant_id.0, owner.workspace_id.0);
    let counts = event_counts::table
        .filter(event_counts::tenant_id.eq(tenant))
        .filter(event_counts::workspace_id.eq(workspace));
    diesel::delete(counts).execute(connection)?;
    let totals = deletions::table
        .filter(deletions::tenant_id.eq(tenant))
        .filter(deletions::workspace_id.eq(workspace));
    diesel::delete(totals).execute(connection)?;
    let consumers = feed_consumers::table
        .filter(feed_consumers::tenant_id.eq(tenant))
        .filter(feed_consumers::workspace_id.eq(workspace));
    diesel::delete(consumers).execute(connection)?;
    let keys = api_keys::table
        .filter(api_keys::tenant_id.eq(tenant))
        .filter(api_keys::workspace_id.eq(workspace));
    let api_keys = diesel::delete(keys).execute(connection)?;
    let row = workspaces::table
        .filter(workspaces::tenant_id.eq(tenant))
        .filter(workspaces::id.eq(workspace));
    let workspaces = diesel::delete(row).execute(connection)?;
    Ok(CatalogRows { workspaces, api_keys })
}

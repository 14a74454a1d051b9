//! Removes rejections: of a person, of a deleted tenant or workspace, and old ones.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::BigInt;
use mercurio_domain::store::{Deletion, ExpiredRejections, Removal, Removed};
use mercurio_domain::{Owner, Timestamp};

use super::super::schema::{rejection_counts, rejections};
use super::super::values::{BOUNDED, Time};
use super::super::{Db, DbConnection, removal as backend_removal};
use super::person;
use super::steps::{RejectionPosition, delete};
use crate::error::Error;
use crate::rows::{Micros, RowId};

/// Maximum rows removed in a step.
const STEP: i64 = 2_000;

/// Removes some rejections and counts, from `from` on.
pub(crate) fn remove(
    connection: &mut DbConnection,
    which: &Removal,
    from: RejectionPosition,
) -> Result<Removed, Error> {
    match which {
        Removal::Received { .. } => Ok(Removed::default()),
        Removal::Person { tenant_id, person } => {
            person::erase(connection, *tenant_id, person, from)
        }
        Removal::All(deletion) => {
            let scope = Scope::of(*deletion);
            let events = remove_events(connection, &scope)?;
            let counts = remove_counts(connection, scope)?;
            let has_more = events == STEP as usize || counts == STEP as usize;
            // The removed rows are gone, so each step starts at the beginning.
            let next = has_more.then(|| RejectionPosition::FIRST.encode());
            Ok(Removed { rejections: events as u64, next, ..Removed::default() })
        }
    }
}

/// Removes what servers recorded after the last step. Returns the number of rejections.
pub(crate) fn remove_late(connection: &mut DbConnection, deletion: Deletion) -> Result<u64, Error> {
    let tenant_id = deletion.tenant_id().0;
    let events = rejections::table.filter(rejections::tenant_id.eq(tenant_id));
    let counts = rejection_counts::table.filter(rejection_counts::tenant_id.eq(tenant_id));
    let removed = match deletion.workspace_id() {
        None => {
            diesel::delete(counts).execute(connection)?;
            diesel::delete(events).execute(connection)?
        }
        Some(id) => {
            let counts = counts.filter(rejection_counts::workspace_id.eq(id.0));
            diesel::delete(counts).execute(connection)?;
            diesel::delete(events.filter(rejections::workspace_id.eq(id.0))).execute(connection)?
        }
    };
    Ok(removed as u64)
}

/// Counts the rejections that all steps of the removal would remove.
pub(crate) fn count_removal(connection: &mut DbConnection, which: &Removal) -> Result<u64, Error> {
    match which {
        Removal::Received { .. } => Ok(0),
        Removal::All(deletion) => Scope::of(*deletion).count(connection),
        Removal::Person { tenant_id, person } => person::count(connection, *tenant_id, person),
    }
}

/// Counts the rejections that [`expire`] would remove.
pub(super) fn count_old(
    connection: &mut DbConnection,
    owner: Option<Owner>,
    before: Timestamp,
) -> Result<u64, Error> {
    Scope::before(owner, before).count(connection)
}

/// Removes old rejections and counts of one workspace, or of all.
pub(super) fn expire(
    connection: &mut DbConnection,
    owner: Option<Owner>,
    before: Timestamp,
) -> Result<ExpiredRejections, Error> {
    if owner.is_none()
        && let Some(events) = backend_removal::drop_rejections(connection, before)?
    {
        // One day at a time: each needs a lock that excludes all others.
        return Ok(ExpiredRejections { events, counts: 0, has_more: true });
    }
    let scope = Scope::before(owner, before);
    let events = remove_events(connection, &scope)?;
    let counts = remove_counts(connection, scope)?;
    let has_more = events == STEP as usize || counts == STEP as usize;
    Ok(ExpiredRejections { events: events as u64, counts: counts as u64, has_more })
}

/// Selects rejections and counts. They must match all that is set.
struct Scope {
    tenant_id: Option<i64>,
    workspace_id: Option<i64>,
    before: Option<Micros>,
}

impl Scope {
    fn of(deletion: Deletion) -> Self {
        Self {
            tenant_id: Some(deletion.tenant_id().0),
            workspace_id: deletion.workspace_id().map(|id| id.0),
            before: None,
        }
    }

    fn before(owner: Option<Owner>, before: Timestamp) -> Self {
        Self {
            tenant_id: owner.map(|owner| owner.tenant_id.0),
            workspace_id: owner.map(|owner| owner.workspace_id.0),
            before: Some(before.into()),
        }
    }

    fn count(&self, connection: &mut DbConnection) -> Result<u64, Error> {
        let mut events = rejections::table.count().into_boxed();
        if let Some(tenant_id) = self.tenant_id {
            events = events.filter(rejections::tenant_id.eq(tenant_id));
        }
        if let Some(workspace_id) = self.workspace_id {
            events = events.filter(rejections::workspace_id.eq(workspace_id));
        }
        if let Some(before) = self.before {
            events = events.filter(rejections::received_at.lt(before));
        }
        let count: i64 = events.get_result(connection)?;
        Ok(count.unsigned_abs())
    }
}

/// Removes up to [`STEP`] kept events. Returns their number.
fn remove_events(connection: &mut DbConnection, scope: &Scope) -> Result<usize, Error> {
    // Without an order: any rows of the scope will do.
    let mut found = rejections::table.select(rejections::id).limit(STEP).into_boxed();
    if let Some(tenant_id) = scope.tenant_id {
        found = found.filter(rejections::tenant_id.eq(tenant_id));
    }
    if let Some(workspace_id) = scope.workspace_id {
        found = found.filter(rejections::workspace_id.eq(workspace_id));
    }
    if let Some(before) = scope.before {
        found = found.filter(rejections::received_at.lt(before));
    }
    let ids = found.load::<RowId>(connection)?;
    delete(connection, ids)
}

/// Removes up to [`STEP`] counts. Returns their number.
fn remove_counts(connection: &mut DbConnection, scope: Scope) -> Result<usize, Error> {
    // A role that owns no tables may read but not delete. Its retention has no work if the owner
    // purges, and must not fail then.
    let mut found = rejection_counts::table.select(rejection_counts::hour).limit(1).into_boxed();
    if let Some(tenant_id) = scope.tenant_id {
        found = found.filter(rejection_counts::tenant_id.eq(tenant_id));
    }
    if let Some(workspace_id) = scope.workspace_id {
        found = found.filter(rejection_counts::workspace_id.eq(workspace_id));
    }
    if let Some(before) = scope.before {
        found = found.filter(rejection_counts::hour.lt(before));
    }
    if found.first::<Micros>(connection).optional()?.is_none() {
        return Ok(0);
    }
    Ok(RemoveCounts(scope).execute(connection)?)
}

/// Removes up to [`STEP`] counts.
struct RemoveCounts(Scope);

impl QueryFragment<Db> for RemoveCounts {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        pass.unsafe_to_cache_prepared();
        let [begin, end] = BOUNDED;
        pass.push_sql("DELETE FROM rejection_counts WHERE ");
        pass.push_sql(begin);
        pass.push_sql("FROM rejection_counts WHERE true");
        let Scope { tenant_id, workspace_id, before } = &self.0;
        if let Some(tenant_id) = tenant_id {
            pass.push_sql(" AND tenant_id = ");
            pass.push_bind_param::<BigInt, _>(tenant_id)?;
        }
        if let Some(workspace_id) = workspace_id {
            pass.push_sql(" AND workspace_id = ");
            pass.push_bind_param::<BigInt, _>(workspace_id)?;
        }
        if let Some(before) = before {
            pass.push_sql(" AND hour < ");
            pass.push_bind_param::<Time, _>(before)?;
        }
        pass.push_sql(&format!(" LIMIT {STEP}"));
        pass.push_sql(end);
        Ok(())
    }
}

impl QueryId for RemoveCounts {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<DbConnection> for RemoveCounts {}

//! Removes rejections: of a person, of a deleted tenant or workspace, and old ones.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use mercurio_domain::store::{
    Deletion, ExpiredRejections, Person, Removal, RemovalCursor, Removed, mentions,
};
use mercurio_domain::{Owner, TenantId, Timestamp};
use uuid::Uuid;

use super::super::schema::rejection_counts;
use super::values::{BOUNDED, Id, POSITION, Time};
use super::{Db, DbConnection, backend_removal, rejections};
use crate::error::Error;
use crate::rows::{Micros, RowId};

/// Maximum rows removed in a step.
const STEP: i64 = 2_000;
/// Maximum rows searched for a person in a step. Each has up to 64 KiB of text.
const SEARCH: i64 = 1_000;
/// The first word of a cursor.
const CURSOR: &str = "rejections";

/// The start of a removal's step in the rejections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RejectionPosition {
    workspace_id: i64,
    received_at: i64,
    id: Uuid,
}

impl RejectionPosition {
    /// Before all rejections.
    const FIRST: Self = Self { workspace_id: 0, received_at: 0, id: Uuid::nil() };

    /// The cursor of the first step; `None` for a removal that keeps rejections.
    pub(crate) fn start_of(which: &Removal) -> Option<RemovalCursor> {
        match which {
            Removal::All(_) | Removal::Person { .. } => Some(Self::FIRST.encode()),
            Removal::Received { .. } => None,
        }
    }

    /// Reads a cursor; `None` for one of another part of the removal.
    pub(crate) fn decode(cursor: &RemovalCursor) -> Option<Self> {
        let mut words = cursor.0.split(' ');
        if words.next() != Some(CURSOR) {
            return None;
        }
        let mut word = || words.next();
        let (workspace_id, received_at, id) = (word()?, word()?, word()?);
        Some(Self {
            workspace_id: workspace_id.parse().ok()?,
            received_at: received_at.parse().ok()?,
            id: id.parse().ok()?,
        })
    }

    fn encode(self) -> RemovalCursor {
        let Self { workspace_id, received_at, id } = self;
        RemovalCursor(format!("{CURSOR} {workspace_id} {received_at} {id}"))
    }
}

/// Removes some rejections and counts, from `from` on.
pub(crate) fn remove(
    connection: &mut DbConnection,
    which: &Removal,
    from: RejectionPosition,
) -> Result<Removed, Error> {
    match which {
        Removal::Received { .. } => Ok(Removed::default()),
        Removal::Person { tenant_id, person } => erase(connection, *tenant_id, person, from),
        Removal::All(deletion) => {
            let scope = Scope::of(*deletion);
            let events = remove_events(connection, &scope)?;
            let counts = RemoveCounts(scope).execute(connection)?;
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
        Removal::Person { tenant_id, person } => {
            let (mut count, mut from) = (0, Some(RejectionPosition::FIRST));
            while let Some(start) = from {
                let found = search(connection, *tenant_id, person, start)?;
                count += found.ids.len() as u64;
                from = found.next;
            }
            Ok(count)
        }
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
    let counts = RemoveCounts(scope).execute(connection)?;
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

/// Removes kept events by id. Their owner is no condition: with it, SQLite would search all
/// rejections of the tenant for the ids.
fn delete(connection: &mut DbConnection, ids: Vec<RowId>) -> Result<usize, Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    Ok(diesel::delete(rejections::table.filter(rejections::id.eq_any(ids))).execute(connection)?)
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

fn erase(
    connection: &mut DbConnection,
    tenant_id: TenantId,
    person: &Person,
    from: RejectionPosition,
) -> Result<Removed, Error> {
    let found = search(connection, tenant_id, person, from)?;
    let removed = delete(connection, found.ids)?;
    let next = found.next.map(RejectionPosition::encode);
    Ok(Removed { rejections: removed as u64, next, ..Removed::default() })
}

/// The rejections of a person among those searched.
struct Found {
    ids: Vec<RowId>,
    next: Option<RejectionPosition>,
}

/// Searches up to [`SEARCH`] rejections of a tenant, after `from`. The events decide, and the
/// database sends only those that can mention the person.
fn search(
    connection: &mut DbConnection,
    tenant_id: TenantId,
    person: &Person,
    from: RejectionPosition,
) -> Result<Found, Error> {
    let id = person.id();
    let search = Search {
        tenant_id: tenant_id.0,
        id,
        trimmed_id: id.trim(),
        from: (from.workspace_id, Micros(from.received_at), RowId(from.id)),
    };
    let rows = search.load::<SearchedRow>(connection)?;
    let mut next = None;
    if rows.len() == SEARCH as usize {
        next = rows.last().map(|last| RejectionPosition {
            workspace_id: last.workspace_id,
            received_at: last.received_at.0,
            id: last.id.0,
        });
    }
    let mut ids = Vec::new();
    for row in rows {
        let is_in_text = |event: String| mentions(&event, row.is_cut, id);
        if row.is_of_person || row.event.is_some_and(is_in_text) {
            ids.push(row.id);
        }
    }
    Ok(Found { ids, next })
}

/// Selects rejections of a tenant in the order of the index on time, with the events that can
/// mention a person: those with the id as it is, an escape or no end.
struct Search<'a> {
    tenant_id: i64,
    id: &'a str,
    trimmed_id: &'a str,
    from: (i64, Micros, RowId),
}

#[derive(Queryable)]
struct SearchedRow {
    workspace_id: i64,
    received_at: Micros,
    id: RowId,
    is_of_person: bool,
    is_cut: bool,
    event: Option<String>,
}

impl QueryFragment<Db> for Search<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        pass.unsafe_to_cache_prepared();
        pass.push_sql("SELECT workspace_id, received_at, id, coalesce(user_id = ");
        pass.push_bind_param::<Text, _>(self.id)?;
        pass.push_sql(", false) OR coalesce(anonymous_id = ");
        pass.push_bind_param::<Text, _>(self.id)?;
        pass.push_sql(&format!(
            ", false), is_cut, CASE WHEN is_cut OR {POSITION}(event, '\\') > 0 OR {POSITION}(event, "
        ));
        pass.push_bind_param::<Text, _>(self.trimmed_id)?;
        pass.push_sql(") > 0 THEN event END FROM rejections WHERE tenant_id = ");
        pass.push_bind_param::<BigInt, _>(&self.tenant_id)?;
        let (workspace_id, received_at, id) = &self.from;
        pass.push_sql(" AND (workspace_id, received_at, id) > (");
        pass.push_bind_param::<BigInt, _>(workspace_id)?;
        pass.push_sql(", ");
        pass.push_bind_param::<Time, _>(received_at)?;
        pass.push_sql(", ");
        pass.push_bind_param::<Id, _>(id)?;
        pass.push_sql(&format!(") ORDER BY workspace_id, received_at, id LIMIT {SEARCH}"));
        Ok(())
    }
}

impl QueryId for Search<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Search<'_> {
    type SqlType = (BigInt, Time, Id, Bool, Bool, Nullable<Text>);
}

impl RunQueryDsl<DbConnection> for Search<'_> {}

//! Removes the rejections of a person.
//!
//! A search reads all rejections of the tenant, one workspace after another, in the order of the
//! index on time. An order over all workspaces would have PostgreSQL sort all later rows of all
//! partitions in every step, since partitions are of days.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use mercurio_domain::TenantId;
use mercurio_domain::store::{Person, Removed, mentions};

use super::super::schema::rejections;
use super::super::values::{Id, POSITION, Time};
use super::super::{Db, DbConnection, removal as backend_removal};
use super::steps::{RejectionPosition, delete};
use crate::error::Error;
use crate::rows::{Micros, RowId};

/// Maximum rows searched in a step. Each has up to 64 KiB of text.
const SEARCH: i64 = 1_000;

/// Removes the person's rejections among the next ones searched.
pub(super) fn erase(
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

/// Counts the person's rejections.
pub(super) fn count(
    connection: &mut DbConnection,
    tenant_id: TenantId,
    person: &Person,
) -> Result<u64, Error> {
    let (mut count, mut from) = (0, Some(RejectionPosition::FIRST));
    while let Some(start) = from {
        // The settings of a search end with its transaction.
        let found =
            connection.transaction(|connection| search(connection, tenant_id, person, start))?;
        count += found.ids.len() as u64;
        from = found.next;
    }
    Ok(count)
}

/// The rejections of a person among those searched.
struct Found {
    ids: Vec<RowId>,
    next: Option<RejectionPosition>,
}

/// Searches up to [`SEARCH`] rejections of a workspace, after `from`, in a transaction. The events
/// decide, and the database sends only those that can mention the person.
fn search(
    connection: &mut DbConnection,
    tenant_id: TenantId,
    person: &Person,
    from: RejectionPosition,
) -> Result<Found, Error> {
    backend_removal::keep_index_order(connection)?;
    let id = person.id();
    let rows = Search::of(tenant_id, id, from).load::<SearchedRow>(connection)?;
    let next = match rows.last() {
        Some(last) if rows.len() == SEARCH as usize => {
            Some(RejectionPosition { received_at: last.received_at.0, id: last.id.0, ..from })
        }
        // The workspace has no more. Rows show the next one: they may outlive the workspace's own.
        _ => later_workspaces(tenant_id, from.workspace_id)
            .first(connection)
            .optional()?
            .map(RejectionPosition::before),
    };
    let mut ids = Vec::new();
    for row in rows {
        let is_in_text = |event: String| mentions(&event, row.is_cut, id);
        if row.is_of_person || row.event.is_some_and(is_in_text) {
            ids.push(row.id);
        }
    }
    Ok(Found { ids, next })
}

type WorkspaceIds = diesel::dsl::IntoBoxed<
    'static,
    diesel::dsl::Select<rejections::table, rejections::workspace_id>,
    Db,
>;

/// Selects the first workspace of a tenant that comes after `workspace_id` and has rejections.
pub(crate) fn later_workspaces(tenant_id: TenantId, workspace_id: i64) -> WorkspaceIds {
    rejections::table
        .select(rejections::workspace_id)
        .into_boxed()
        .filter(rejections::tenant_id.eq(tenant_id.0))
        .filter(rejections::workspace_id.gt(workspace_id))
        .order(rejections::workspace_id)
        .limit(1)
}

/// Selects rejections of a workspace in the order of the index on time, with the events that can
/// mention a person: those with the id as it is, an escape or no end.
pub(crate) struct Search<'a> {
    tenant_id: i64,
    workspace_id: i64,
    received_at: Micros,
    after: RowId,
    id: &'a str,
    trimmed_id: &'a str,
}

impl<'a> Search<'a> {
    pub(crate) fn of(tenant_id: TenantId, id: &'a str, from: RejectionPosition) -> Self {
        Self {
            tenant_id: tenant_id.0,
            workspace_id: from.workspace_id,
            received_at: Micros(from.received_at),
            after: RowId(from.id),
            id,
            trimmed_id: id.trim(),
        }
    }
}

#[derive(Queryable)]
struct SearchedRow {
    received_at: Micros,
    id: RowId,
    is_of_person: bool,
    is_cut: bool,
    event: Option<String>,
}

impl QueryFragment<Db> for Search<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        pass.unsafe_to_cache_prepared();
        pass.push_sql("SELECT received_at, id, coalesce(user_id = ");
        pass.push_bind_param::<Text, _>(self.id)?;
        pass.push_sql(", false) OR coalesce(anonymous_id = ");
        pass.push_bind_param::<Text, _>(self.id)?;
        pass.push_sql(&format!(
            ", false), is_cut, CASE WHEN is_cut OR {POSITION}(event, '\\') > 0 OR {POSITION}(event, "
        ));
        pass.push_bind_param::<Text, _>(self.trimmed_id)?;
        pass.push_sql(") > 0 THEN event END FROM rejections WHERE tenant_id = ");
        pass.push_bind_param::<BigInt, _>(&self.tenant_id)?;
        pass.push_sql(" AND workspace_id = ");
        pass.push_bind_param::<BigInt, _>(&self.workspace_id)?;
        // The second condition implies the first. Only with the first does the scan start there.
        pass.push_sql(" AND received_at >= ");
        pass.push_bind_param::<Time, _>(&self.received_at)?;
        pass.push_sql(" AND (received_at > ");
        pass.push_bind_param::<Time, _>(&self.received_at)?;
        pass.push_sql(" OR id > ");
        pass.push_bind_param::<Id, _>(&self.after)?;
        // The id makes the order total; the index has only the time, and equal times are sorted.
        pass.push_sql(&format!(") ORDER BY received_at, id LIMIT {SEARCH}"));
        Ok(())
    }
}

impl QueryId for Search<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Search<'_> {
    type SqlType = (Time, Id, Bool, Bool, Nullable<Text>);
}

impl RunQueryDsl<DbConnection> for Search<'_> {}

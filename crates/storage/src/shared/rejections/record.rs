//! Writes a batch of rejections.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use mercurio_domain::store::{RejectedEvent, RejectionBatch, RejectionCount, RejectionGroup};
use mercurio_domain::{Owner, TenantId, WorkspaceId};

use super::super::schema::{tenants, workspaces};
use super::values::{Id, Time};
use super::{Db, DbConnection, rejections};
use crate::error::Error;
use crate::rejection_rows::{codes_of, errors_json};
use crate::rows::{JsonStr, Micros, RowId};

/// Maximum rows per statement. SQLite allows 32,766 parameters, and a row has 17 at most.
const MAX_ROWS: usize = 500;

/// Stores a normalized batch.
pub(super) fn record(connection: &mut DbConnection, batch: &RejectionBatch) -> Result<(), Error> {
    let owners = open_workspaces(connection, batch)?;
    let events = batch.events.iter().filter(|event| owners.contains(&event.owner));
    for part in events.collect::<Vec<_>>().chunks(MAX_ROWS) {
        insert(connection, part)?;
    }
    let counts = batch.counts.iter().filter(|(group, _)| owners.contains(&group.owner));
    // In the order of the primary key over all statements: servers that add to the same counts wait
    // for each other, and cannot deadlock.
    for part in counts.collect::<Vec<_>>().chunks(MAX_ROWS) {
        AddCounts::of(part).execute(connection)?;
    }
    Ok(())
}

/// The workspaces of the batch that exist and are not being deleted. A batch may come after the
/// deletion of its workspace: servers write it after their response.
fn open_workspaces(
    connection: &mut DbConnection,
    batch: &RejectionBatch,
) -> Result<BTreeSet<Owner>, Error> {
    let of_events = batch.events.iter().map(|event| event.owner);
    let owners: BTreeSet<Owner> =
        of_events.chain(batch.counts.iter().map(|(group, _)| group.owner)).collect();
    let ids = owners.iter().map(|owner| owner.workspace_id.0);
    let open_tenant = tenants::table
        .filter(tenants::id.eq(workspaces::tenant_id))
        .filter(tenants::deleted_at.is_null());
    let rows: Vec<(i64, i64)> = workspaces::table
        .filter(workspaces::id.eq_any(ids.collect::<Vec<_>>()))
        .filter(workspaces::deleted_at.is_null())
        .filter(diesel::dsl::exists(open_tenant))
        .select((workspaces::tenant_id, workspaces::id))
        .load(connection)?;
    let mut open = BTreeSet::new();
    for (tenant_id, workspace_id) in rows {
        let owner =
            Owner { tenant_id: TenantId(tenant_id), workspace_id: WorkspaceId(workspace_id) };
        open.extend(owners.get(&owner));
    }
    Ok(open)
}

#[derive(Insertable)]
// NULL is bound: leaving columns out would need a statement per combination.
#[diesel(table_name = rejections, treat_none_as_default_value = false)]
struct NewRejection<'a> {
    id: RowId,
    tenant_id: i64,
    workspace_id: i64,
    received_at: Micros,
    event_id: Option<&'a str>,
    event_name: Option<&'a str>,
    user_id: Option<&'a str>,
    anonymous_id: Option<&'a str>,
    codes: String,
    errors: JsonStr<'a>,
    event: &'a str,
    is_cut: bool,
    request_id: &'a str,
    api_key_id: &'a str,
    protocol: &'a str,
    sdk: Option<&'a str>,
    user_agent: Option<&'a str>,
}

fn insert(connection: &mut DbConnection, events: &[&RejectedEvent]) -> Result<(), Error> {
    let mut errors = Vec::with_capacity(events.len());
    for event in events {
        errors.push(errors_json(&event.errors)?);
    }
    let mut rows = Vec::with_capacity(events.len());
    for (event, errors) in events.iter().zip(&errors) {
        rows.push(NewRejection {
            id: RowId(event.id),
            tenant_id: event.owner.tenant_id.0,
            workspace_id: event.owner.workspace_id.0,
            received_at: event.received_at.into(),
            event_id: event.event_id.as_deref(),
            event_name: event.event_name.as_deref(),
            user_id: event.user_id.as_deref(),
            anonymous_id: event.anonymous_id.as_deref(),
            codes: codes_of(&event.errors),
            errors: JsonStr(errors),
            event: &event.event,
            is_cut: event.is_cut,
            request_id: &event.request_id,
            api_key_id: event.api_key_id.as_str(),
            protocol: &event.protocol,
            sdk: event.sdk.as_deref(),
            user_agent: event.user_agent.as_deref(),
        });
    }
    diesel::insert_into(rejections::table).values(&rows).execute(connection)?;
    Ok(())
}

/// A count to add, as its parameters.
struct NewCount<'a> {
    tenant_id: i64,
    workspace_id: i64,
    kind: &'static str,
    group: &'a RejectionGroup,
    hour: Micros,
    rejected: i64,
    example: Option<RowId>,
}

/// Adds counts by one statement. Both databases write it alike; diesel does not, for SQLite.
struct AddCounts<'a>(Vec<NewCount<'a>>);

impl<'a> AddCounts<'a> {
    fn of(counts: &[&'a (RejectionGroup, RejectionCount)]) -> Self {
        let mut rows = Vec::with_capacity(counts.len());
        for (group, count) in counts {
            rows.push(NewCount {
                tenant_id: group.owner.tenant_id.0,
                workspace_id: group.owner.workspace_id.0,
                kind: group.kind.as_str(),
                group,
                hour: group.hour.into(),
                rejected: i64::try_from(count.rejected).unwrap_or(i64::MAX),
                example: count.example.map(RowId),
            });
        }
        Self(rows)
    }
}

/// The example is found by the primary key, in each partition. It is replaced only once it is gone.
const ADD: &str = ") ON CONFLICT (tenant_id, workspace_id, kind, code, pointer, event_name, hour)
    DO UPDATE SET rejected = rejection_counts.rejected + excluded.rejected,
        example = CASE WHEN EXISTS (SELECT 1 FROM rejections WHERE rejections.id = rejection_counts.example)
            THEN rejection_counts.example ELSE excluded.example END";

impl QueryFragment<Db> for AddCounts<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        // The text depends on the number of rows.
        pass.unsafe_to_cache_prepared();
        pass.push_sql(
            "INSERT INTO rejection_counts
             (tenant_id, workspace_id, kind, code, pointer, event_name, hour, rejected, example) VALUES (",
        );
        for (index, row) in self.0.iter().enumerate() {
            if index > 0 {
                pass.push_sql("), (");
            }
            pass.push_bind_param::<BigInt, _>(&row.tenant_id)?;
            pass.push_sql(", ");
            pass.push_bind_param::<BigInt, _>(&row.workspace_id)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Text, _>(&row.kind)?;
            for text in [&row.group.code, &row.group.pointer, &row.group.event_name] {
                pass.push_sql(", ");
                pass.push_bind_param::<Text, _>(text)?;
            }
            pass.push_sql(", ");
            pass.push_bind_param::<Time, _>(&row.hour)?;
            pass.push_sql(", ");
            pass.push_bind_param::<BigInt, _>(&row.rejected)?;
            pass.push_sql(", ");
            pass.push_bind_param::<Nullable<Id>, _>(&row.example)?;
        }
        pass.push_sql(ADD);
        Ok(())
    }
}

impl QueryId for AddCounts<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<DbConnection> for AddCounts<'_> {}

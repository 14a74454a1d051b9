//! Sums of counts over hours, with an example each.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use mercurio_domain::Owner;
use mercurio_domain::limits::MAX_PAGE_BYTES;
use mercurio_domain::store::{RejectedEvent, RejectionCountQuery, RejectionKind, RejectionTotal};
use uuid::Uuid;

use super::values::{Id, RowMode, Time};
use super::{Db, DbConnection, RejectionsQuery, columns, rejections};
use crate::error::Error;
use crate::rejection_rows::RejectionRow;
use crate::rows::{Micros, RowId, timestamp};

/// Maximum examples per query.
const PART_EXAMPLES: usize = 20;
const HOUR_MICROS: i64 = 3_600_000_000;

/// Selects the highest totals of each kind. The example is that of the newest hour whose example is
/// still kept.
pub(crate) struct Totals {
    tenant_id: i64,
    workspace_id: i64,
    from: Micros,
    to: Micros,
    limit: i64,
}

impl Totals {
    pub(crate) fn of(owner: Owner, query: &RejectionCountQuery) -> Self {
        Self {
            tenant_id: owner.tenant_id.0,
            workspace_id: owner.workspace_id.0,
            from: query.from.into(),
            to: query.to.into(),
            limit: i64::try_from(query.limit).unwrap_or(i64::MAX),
        }
    }

    /// The condition on workspace and hours, for the table of this name.
    fn condition<'b>(&'b self, table: &str, pass: &mut AstPass<'_, 'b, Db>) -> QueryResult<()> {
        pass.push_sql(&format!("{table}.tenant_id = "));
        pass.push_bind_param::<BigInt, _>(&self.tenant_id)?;
        pass.push_sql(&format!(" AND {table}.workspace_id = "));
        pass.push_bind_param::<BigInt, _>(&self.workspace_id)?;
        pass.push_sql(&format!(" AND {table}.hour >= "));
        pass.push_bind_param::<Time, _>(&self.from)?;
        pass.push_sql(&format!(" AND {table}.hour < "));
        pass.push_bind_param::<Time, _>(&self.to)
    }
}

impl QueryFragment<Db> for Totals {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        pass.unsafe_to_cache_prepared();
        pass.push_sql(
            "WITH summed AS (
                 SELECT kind, code, pointer, event_name, CAST(sum(rejected) AS bigint) AS total, max(hour) AS last_hour
                 FROM rejection_counts WHERE ",
        );
        self.condition("rejection_counts", &mut pass)?;
        pass.push_sql(
            " GROUP BY kind, code, pointer, event_name
             ), ranked AS (
                 SELECT summed.*, row_number() OVER (
                     PARTITION BY kind ORDER BY total DESC, code, pointer, event_name) AS place FROM summed
             )
             SELECT kind, code, pointer, event_name, total, last_hour, (
                 SELECT counted.example FROM rejection_counts AS counted
                 WHERE counted.kind = ranked.kind AND counted.code = ranked.code AND counted.pointer = ranked.pointer
                     AND counted.event_name = ranked.event_name AND ",
        );
        self.condition("counted", &mut pass)?;
        pass.push_sql(
            " AND EXISTS (SELECT 1 FROM rejections WHERE rejections.id = counted.example)
                 ORDER BY counted.hour DESC LIMIT 1
             ) AS example
             FROM ranked WHERE place <= ",
        );
        pass.push_bind_param::<BigInt, _>(&self.limit)?;
        pass.push_sql(" ORDER BY kind, place");
        Ok(())
    }
}

impl QueryId for Totals {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Totals {
    type SqlType = (Text, Text, Text, Text, BigInt, Time, Nullable<Id>);
}

impl RunQueryDsl<DbConnection> for Totals {}

#[derive(Queryable)]
struct TotalRow {
    kind: String,
    code: String,
    pointer: String,
    event_name: String,
    rejected: i64,
    last_hour: Micros,
    example: Option<RowId>,
}

pub(super) fn load(
    connection: &mut DbConnection,
    owner: Owner,
    query: &RejectionCountQuery,
) -> Result<Vec<RejectionTotal>, Error> {
    let mut rows = Vec::new();
    for row in Totals::of(owner, query).load::<TotalRow>(connection)? {
        let kind = RejectionKind::from_text(&row.kind);
        rows.push((kind.ok_or_else(|| Error::unreadable("the kind of a count"))?, row));
    }
    // The database orders kinds by name. The sort keeps the order within each.
    rows.sort_by_key(|(kind, _)| *kind);
    let examples = rows.iter().filter_map(|(_, row)| row.example);
    let examples = load_examples(connection, owner, query, examples.collect())?;
    let (mut totals, mut bytes) = (Vec::with_capacity(rows.len()), 0);
    for (kind, row) in rows {
        let is_full = bytes > MAX_PAGE_BYTES;
        let example = row.example.filter(|_| !is_full).and_then(|id| examples.get(&id.0)).cloned();
        bytes += example.as_ref().map_or(0, RejectedEvent::size_bytes);
        totals.push(RejectionTotal {
            kind,
            code: row.code,
            pointer: row.pointer,
            event_name: row.event_name,
            rejected: row.rejected.unsigned_abs(),
            last_hour: timestamp(row.last_hour),
            example,
        });
    }
    Ok(totals)
}

/// Loads examples in the order of `ids`, until they fill a page.
fn load_examples(
    connection: &mut DbConnection,
    owner: Owner,
    query: &RejectionCountQuery,
    ids: Vec<RowId>,
) -> Result<HashMap<Uuid, RejectedEvent>, Error> {
    let (mut examples, mut bytes) = (HashMap::new(), 0);
    for part in ids.chunks(PART_EXAMPLES) {
        // Many groups have the same example.
        let new: Vec<RowId> =
            part.iter().filter(|id| !examples.contains_key(&id.0)).copied().collect();
        for row in examples_query(query, new).load_iter::<RejectionRow, RowMode>(connection)? {
            let event = row?.into_event()?;
            if event.owner == owner {
                bytes += event.size_bytes();
                examples.insert(event.id, event);
            }
        }
        if bytes > MAX_PAGE_BYTES {
            break;
        }
    }
    Ok(examples)
}

/// Without the owner, which the caller checks: with it, SQLite would search all rejections of the
/// workspace for the ids. The bounds leave the partitions of the hours.
pub(crate) fn examples_query<'a>(
    query: &RejectionCountQuery,
    ids: Vec<RowId>,
) -> RejectionsQuery<'a> {
    rejections::table
        .select(columns())
        .into_boxed()
        .filter(rejections::id.eq_any(ids))
        .filter(rejections::received_at.ge(Micros::from(query.from)))
        .filter(rejections::received_at.lt(Micros(query.to.as_micros() + HOUR_MICROS)))
}

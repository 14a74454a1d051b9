//! Pages of rejected events.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use mercurio_domain::Owner;
use mercurio_domain::store::{RejectionPage, RejectionPageBuilder, RejectionQuery};

use super::super::DbConnection;
use super::super::schema::rejections;
use super::super::values::RowMode;
use super::columns::{RejectionsQuery, columns};
use crate::error::Error;
use crate::rejection_rows::{RejectionRow, code_pattern};
use crate::rows::{Micros, RowId};

/// Maximum events of one query: 16 of the largest, of 64 KiB, fill a page. PostgreSQL sends all rows
/// of a query, also those that the page has no room for.
const PART_EVENTS: usize = 16;
/// Time after which a page ends early with the events of its parts so far.
const PARTS_TIME: Duration = Duration::from_secs(1);

/// Loads a page of the workspace's rejected events, newest first.
pub(super) fn load(
    connection: &mut DbConnection,
    owner: Owner,
    query: &RejectionQuery,
) -> Result<RejectionPage, Error> {
    let begun = Instant::now();
    let mut page = RejectionPageBuilder::new(query.limit);
    let mut part = RejectionQuery { limit: query.limit.min(PART_EVENTS), ..query.clone() };
    loop {
        let mut found = 0;
        let rows = page_query(owner, &part).load_iter::<RejectionRow, RowMode>(connection)?;
        for row in rows {
            if !page.push(row?.into_event()?) {
                return Ok(page.finish());
            }
            found += 1;
        }
        // A part has one row more than its limit if others follow.
        if found <= part.limit {
            return Ok(page.finish());
        }
        // PostgreSQL limits the time of a query, not of a page.
        if begun.elapsed() > PARTS_TIME {
            return Ok(page.cut());
        }
        part.after = page.position();
    }
}

pub(crate) fn page_query(owner: Owner, query: &RejectionQuery) -> RejectionsQuery<'_> {
    // One more than asked for shows whether there is a next page.
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut page = rejections::table
        .select(columns())
        .into_boxed()
        .filter(rejections::tenant_id.eq(owner.tenant_id.0))
        .filter(rejections::workspace_id.eq(owner.workspace_id.0))
        // The id makes the order total; the index has only the time, and equal times are sorted.
        .order((rejections::received_at.desc(), rejections::id.desc()))
        .limit(limit);
    if let Some(after) = query.after {
        let received_at = Micros::from(after.occurred_at);
        // The second filter implies the first. Only with the first does the scan start at the
        // cursor, as for events.
        page = page.filter(rejections::received_at.le(received_at)).filter(
            rejections::received_at.lt(received_at).or(rejections::id.lt(RowId(after.key.0))),
        );
    }
    if let Some(from) = query.from {
        page = page.filter(rejections::received_at.ge(Micros::from(from)));
    }
    if let Some(to) = query.to {
        page = page.filter(rejections::received_at.lt(Micros::from(to)));
    }
    // The filters below have no index: the scan by time checks each row.
    if let Some(code) = query.code {
        page = page.filter(rejections::codes.like(code_pattern(code)));
    }
    if let Some(event_id) = &query.event_id {
        page = page.filter(rejections::event_id.eq(event_id));
    }
    if let Some(event_name) = &query.event_name {
        page = page.filter(rejections::event_name.eq(event_name));
    }
    page
}

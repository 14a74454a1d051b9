//! What removals of rejections share: the start of a step, and the removal of rows found.

use diesel::prelude::*;
use mercurio_domain::store::{Removal, RemovalCursor};
use uuid::Uuid;

use super::super::DbConnection;
use super::super::schema::rejections;
use crate::error::Error;
use crate::rows::RowId;

/// The first word of a cursor.
const CURSOR: &str = "rejections";

/// The start of a removal's step in the rejections: after this one, in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RejectionPosition {
    pub(crate) workspace_id: i64,
    pub(crate) received_at: i64,
    pub(crate) id: Uuid,
}

impl RejectionPosition {
    /// Before all rejections.
    pub(super) const FIRST: Self = Self::before(0);

    /// Before all rejections of a workspace.
    pub(super) const fn before(workspace_id: i64) -> Self {
        Self { workspace_id, received_at: 0, id: Uuid::nil() }
    }

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

    pub(super) fn encode(self) -> RemovalCursor {
        let Self { workspace_id, received_at, id } = self;
        RemovalCursor(format!("{CURSOR} {workspace_id} {received_at} {id}"))
    }
}

/// Removes kept events by id. Their owner is no condition: with it, SQLite would search all
/// rejections of the tenant for the ids.
pub(super) fn delete(connection: &mut DbConnection, ids: Vec<RowId>) -> Result<usize, Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    Ok(diesel::delete(rejections::table.filter(rejections::id.eq_any(ids))).execute(connection)?)
}

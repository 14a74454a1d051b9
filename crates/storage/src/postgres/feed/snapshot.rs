//! The snapshot of a page: the positions of transactions that were still open.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use mercurio_domain::store::{FeedCursor, MAX_OPEN_POSITIONS};

use super::super::shared::feed::{ERA_SHIFT, EraTokens, token_of};
use crate::error::Error;

/// The snapshot, and the newest era if it goes on; otherwise 0.
const TAKE: &str = "SELECT pg_current_snapshot()::text AS snapshot,
    CASE WHEN mercurio_has_era() THEN (SELECT max(era) FROM feed_eras) ELSE 0 END AS era";

#[derive(Debug, QueryableByName)]
struct SnapshotRow {
    #[diesel(sql_type = Text)]
    snapshot: String,
    #[diesel(sql_type = BigInt)]
    era: i64,
}

/// What a transaction sees of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// Positions of open transactions, in ascending order. Empty before the first write of an era:
    /// those of open transactions will be in it, after all others.
    open: Vec<i64>,
    /// Positions of the era from here on were not yet given.
    end: i64,
}

impl Snapshot {
    pub(super) fn take(connection: &mut PgConnection) -> Result<Self, Error> {
        let SnapshotRow { snapshot, era } = diesel::sql_query(TAKE).get_result(connection)?;
        Self::parse(&snapshot, era).ok_or_else(|| Error::unreadable("a snapshot"))
    }

    /// Parses `xmin:xmax:xip,…` (PostgreSQL's manual, "pg_snapshot Components").
    pub(super) fn parse(snapshot: &str, era: i64) -> Option<Self> {
        let mut parts = snapshot.splitn(3, ':').skip(1);
        let base = era << ERA_SHIFT;
        let end = base | parts.next()?.parse::<i64>().ok()?;
        let mut open = Vec::new();
        for id in parts.next()?.split(',').filter(|id| !id.is_empty() && era > 0) {
            open.push(base | id.parse::<i64>().ok()?);
        }
        open.sort_unstable();
        // No transaction has begun the era.
        let end = if era == 0 { i64::MAX } else { end };
        Some(Self { open, end })
    }

    pub(super) fn is_open(&self, position: i64) -> bool {
        self.open.binary_search(&position).is_ok()
    }

    /// Exclusive upper bound of the positions to read: a cursor has room for the open ones below.
    pub(super) fn bound(&self) -> i64 {
        self.open.get(MAX_OPEN_POSITIONS).copied().unwrap_or(i64::MAX)
    }

    /// Whether this database has reached the cursor. A restored one may be behind it, or have gone on
    /// from an earlier point with eras of its own.
    pub(super) fn has_passed(
        &self,
        cursor: &FeedCursor,
        connection: &mut PgConnection,
    ) -> Result<bool, Error> {
        let is_given = cursor.last < self.end;
        Ok(is_given && token_of(connection, cursor.last)? == Some(cursor.token))
    }

    /// Adds to a cursor what the next page must look for.
    pub(super) fn complete(
        &self,
        cursor: FeedCursor,
        tokens: &mut EraTokens,
        connection: &mut PgConnection,
    ) -> Result<FeedCursor, Error> {
        let FeedCursor { last, mut open, .. } = cursor;
        open.extend(self.open.iter().filter(|position| **position < last));
        open.sort_unstable();
        open.dedup();
        let token = tokens.of(connection, last)?;
        Ok(FeedCursor { open, token, ..cursor })
    }
}

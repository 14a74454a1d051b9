//! The feed in PostgreSQL. All events of a transaction have one position: the id of the transaction,
//! below the number of an era (see `mercurio_position` in the migrations).
//!
//! A page is read in one snapshot, which names the transactions still open. Their positions go into
//! the cursor, and the next page looks for their events first. So no page waits for a transaction.

mod snapshot;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use mercurio_domain::store::{
    FeedCursor, FeedCursorError, FeedPage, FeedStart, PageBuilder, PartialPosition,
};
use mercurio_domain::{EventKey, Owner};
use uuid::Uuid;

use super::shared::feed::EraTokens;
use super::statement::statement;
use crate::error::Error;
use crate::rows::{EventRow, Micros};

use snapshot::Snapshot;

/// Settings of a page's transaction. A new table has no statistics: without these, the planner may
/// sort it instead of reading the index in its order. A plan for given times names few partitions.
pub(super) const SETTINGS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL plan_cache_mode = force_custom_plan";

/// Microseconds of a day, the span of a partition.
const DAY_MICROS: i64 = 86_400_000_000;
/// Events looked up at a time. A page of large events does not need many.
const LOOKUP_EVENTS: usize = 100;
/// Events of a span, on average, above which all keys are looked up together.
const FEW_SPANS: usize = 20;
/// Keys read at a time for a page that is still empty, because their events have expired.
const KEYS: usize = 1_000;
/// Time after which a page without events ends empty.
const EMPTY_TIME: Duration = Duration::from_secs(1);

#[diesel::declare_sql_function]
extern "SQL" {
    fn mercurio_position() -> BigInt;
}

statement! {
    /// Selects the rest of a position read in part.
    Rest -> (BigInt, SqlUuid, Timestamptz, Timestamptz) =
    "SELECT position, key, occurred_at, received_at FROM event_keys
     WHERE workspace_id = ", workspace_id: i64 => BigInt, " AND position = ", position: i64 => BigInt, "
         AND key > ", after: Uuid => SqlUuid, "
     ORDER BY key LIMIT ", limit: i64 => BigInt, "",
}

statement! {
    /// Selects the keys at some positions.
    OpenKeys -> (BigInt, SqlUuid, Timestamptz, Timestamptz) =
    "SELECT position, key, occurred_at, received_at FROM event_keys
     WHERE workspace_id = ", workspace_id: i64 => BigInt, " AND position = ANY (",
    positions: Vec<i64> => Array<BigInt>, ")
     ORDER BY position, key LIMIT ", limit: i64 => BigInt, "",
}

statement! {
    /// Selects the keys after a position.
    NewKeys -> (BigInt, SqlUuid, Timestamptz, Timestamptz) =
    "SELECT position, key, occurred_at, received_at FROM event_keys
     WHERE workspace_id = ", workspace_id: i64 => BigInt, " AND position > ", after: i64 => BigInt, "
         AND position < ", before: i64 => BigInt, "
     ORDER BY position, key LIMIT ", limit: i64 => BigInt, "",
}

statement! {
    /// Selects the highest position of a workspace.
    Newest -> (Nullable<BigInt>,) =
    "SELECT max(position) FROM event_keys WHERE workspace_id = ", workspace_id: i64 => BigInt, "",
}

/// The key and the columns of an [`EventRow`].
type LookedUpColumns = (
    SqlUuid,
    (
        Text,
        Text,
        Text,
        Timestamptz,
        Timestamptz,
        Nullable<Timestamptz>,
        Nullable<Text>,
        Nullable<Text>,
        Nullable<Text>,
        Text,
        Nullable<Json>,
        Nullable<Json>,
        Nullable<Json>,
        Json,
    ),
);

statement! {
    /// Selects the events of keys, in any order. Each time of events and day of receipt is one scan of
    /// the index on time in one partition, however many events have them.
    LookUp -> LookedUpColumns =
    "SELECT key, event_id, type, event_name, occurred_at, received_at, sent_timestamp, anonymous_id, user_id,
         session_id, schema_version, properties, traits, context, enrichment
     FROM unnest(", times: Vec<Micros> => Array<Timestamptz>, ", ",
    days: Vec<Micros> => Array<Timestamptz>, ", ",
    next_days: Vec<Micros> => Array<Timestamptz>, ") AS wanted (occurred_at, day, next_day)
     JOIN events USING (occurred_at)
     WHERE tenant_id = ", tenant_id: i64 => BigInt, " AND workspace_id = ", workspace_id: i64 => BigInt, "
         AND received_at >= day AND received_at < next_day
         AND received_at >= ", first_received: Micros => Timestamptz, "
         AND received_at <= ", last_received: Micros => Timestamptz, "
         AND key = ANY (", keys: Vec<Uuid> => Array<SqlUuid>, ")",
}

impl LookUp {
    fn of(owner: Owner, keys: &[KeyRow]) -> Self {
        let mut spans: Vec<Span> = keys.iter().map(Span::of).collect();
        spans.sort_unstable();
        spans.dedup();
        let received = keys.iter().map(|key| key.received_at.0);
        Self {
            times: spans.iter().map(|span| Micros(span.occurred_at)).collect(),
            days: spans.iter().map(|span| Micros(span.day)).collect(),
            next_days: spans.iter().map(|span| Micros(span.day + DAY_MICROS)).collect(),
            tenant_id: owner.tenant_id.0,
            workspace_id: owner.workspace_id.0,
            first_received: Micros(received.clone().min().unwrap_or(0)),
            last_received: Micros(received.max().unwrap_or(0)),
            keys: keys.iter().map(|key| key.key).collect(),
        }
    }
}

/// A time of events, and the start of a day of receipt, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    occurred_at: i64,
    day: i64,
}

impl Span {
    /// Returns the number of different spans.
    fn count(keys: &[KeyRow]) -> usize {
        let mut spans: Vec<Self> = keys.iter().map(Self::of).collect();
        spans.sort_unstable();
        spans.dedup();
        spans.len()
    }

    fn of(key: &KeyRow) -> Self {
        let received_at = key.received_at.0;
        let day = received_at - received_at.rem_euclid(DAY_MICROS);
        Self { occurred_at: key.occurred_at.0, day }
    }
}

/// A row of `event_keys`: where in the feed its event is, and where in `events`.
#[derive(Debug, Clone, Copy, Queryable)]
struct KeyRow {
    position: i64,
    key: Uuid,
    occurred_at: Micros,
    received_at: Micros,
}

/// An event and its key.
#[derive(Debug, Queryable)]
struct LookedUpRow {
    key: Uuid,
    event: EventRow,
}

#[derive(Debug, Queryable)]
struct NewestRow {
    position: Option<i64>,
}

/// Begins an era of positions, if the database server has started since the newest. Before the
/// migrations there is nothing to begin, and a failure is repeated by the first transaction.
pub(super) fn begin_era(connection: &mut PgConnection) {
    // Without a wait for a standby, which may be away: it gets the era before any event of it.
    let begin = "BEGIN; SET LOCAL synchronous_commit = local; DO $$ BEGIN
         IF to_regprocedure('mercurio_begin_era()') IS NOT NULL THEN PERFORM mercurio_begin_era(); END IF;
     END $$; COMMIT";
    if connection.batch_execute(begin).is_err() {
        connection.batch_execute("ROLLBACK").ok();
    }
}

/// Returns the position of the events that this transaction stores. Comes before any lock on a key.
pub(super) fn next_position(connection: &mut PgConnection) -> QueryResult<i64> {
    diesel::select(mercurio_position()).get_result(connection)
}

/// Returns a page of the feed of a workspace. Runs in a transaction that sees one snapshot.
pub(super) fn page(
    connection: &mut PgConnection,
    owner: Owner,
    start: &FeedStart,
    limit: usize,
) -> Result<Result<FeedPage, FeedCursorError>, Error> {
    let cursor = match start {
        FeedStart::After(cursor) => cursor.clone(),
        FeedStart::Oldest | FeedStart::Now => FeedCursor::oldest(owner.workspace_id),
    };
    if cursor.workspace_id != owner.workspace_id {
        return Ok(Err(FeedCursorError::OtherWorkspace));
    }
    let snapshot = Snapshot::take(connection)?;
    if !snapshot.has_passed(&cursor, connection)? {
        return Ok(Err(FeedCursorError::Replaced));
    }
    let mut tokens = EraTokens::default();
    if *start == FeedStart::Now {
        let query = Newest { workspace_id: owner.workspace_id.0 };
        let newest = query.get_result::<NewestRow>(connection)?.position;
        // With too many open transactions, some events of before come too.
        let last = newest.unwrap_or(cursor.last).min(snapshot.bound() - 1);
        let cursor = FeedCursor { last, ..cursor };
        let next = snapshot.complete(cursor, &mut tokens, connection)?;
        let (events, cursors) = (Vec::new(), Vec::new());
        return Ok(Ok(FeedPage { events, cursors, next, is_newest: true }));
    }
    let page = PageBuilder::new(limit);
    let mut reader = FeedReader { owner, snapshot, cursor, page, cursors: Vec::new() };
    let (begun, mut part) = (Instant::now(), reader.read_part(connection, limit)?);
    // The keys of expired events stay for weeks. A consumer pauses after an empty page, so it must not
    // get one for each few of them.
    while part == Part::Empty && begun.elapsed() < EMPTY_TIME {
        part = reader.read_part(connection, KEYS)?;
    }
    let is_newest = part == Part::Newest;
    let FeedReader { snapshot, cursor, page, mut cursors, .. } = reader;
    for cursor in &mut cursors {
        *cursor = snapshot.complete(cursor.clone(), &mut tokens, connection)?;
    }
    let next = snapshot.complete(cursor, &mut tokens, connection)?;
    Ok(Ok(FeedPage { events: page.finish().events, cursors, next, is_newest }))
}

/// How a part of a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// At the newest event.
    Newest,
    /// Events follow, and the page has some or is full.
    Full,
    /// None of its keys has an event.
    Empty,
}

struct FeedReader {
    owner: Owner,
    snapshot: Snapshot,
    cursor: FeedCursor,
    page: PageBuilder,
    /// After each event of the page, not yet complete.
    cursors: Vec<FeedCursor>,
}

impl FeedReader {
    /// Reads the next `wanted` keys and their events.
    fn read_part(&mut self, connection: &mut PgConnection, wanted: usize) -> Result<Part, Error> {
        let keys = self.next_keys(connection, wanted)?;
        let mut rest = keys.as_slice();
        while !rest.is_empty() {
            let part;
            (part, rest) = rest.split_at(self.events_at_once(rest).min(rest.len()));
            if !self.read_events(connection, part)? {
                return Ok(Part::Full);
            }
        }
        if keys.len() < wanted {
            // All that this snapshot shows was read.
            self.cursor.partial = None;
            self.cursor.open.clear();
            return Ok(Part::Newest);
        }
        Ok(if self.page.is_empty() { Part::Empty } else { Part::Full })
    }

    /// Returns how many events to look up at a time. Each look-up scans all events of its spans: those
    /// of few spans, as after an import by day, are looked up together.
    fn events_at_once(&self, keys: &[KeyRow]) -> usize {
        if Span::count(keys) * FEW_SPANS < keys.len() {
            return KEYS;
        }
        // The first ones show how many more fit.
        if self.page.is_empty() { LOOKUP_EVENTS } else { self.page.room().max(LOOKUP_EVENTS) }
    }

    /// Reads up to `wanted` keys after the cursor: the rest of a position, then those that were open,
    /// then later ones.
    fn next_keys(
        &self,
        connection: &mut PgConnection,
        wanted: usize,
    ) -> Result<Vec<KeyRow>, Error> {
        let workspace_id = self.owner.workspace_id.0;
        let FeedCursor { last, open, partial, .. } = &self.cursor;
        let mut keys: Vec<KeyRow> = Vec::new();
        if let Some(PartialPosition { position, key }) = *partial {
            let limit = wanted as i64;
            keys = Rest { workspace_id, position, after: key.0, limit }.load(connection)?;
        }
        if !open.is_empty() && keys.len() < wanted {
            let limit = (wanted - keys.len()) as i64;
            let query = OpenKeys { workspace_id, positions: open.clone(), limit };
            keys.extend(query.load::<KeyRow>(connection)?);
        }
        if keys.len() < wanted {
            let (after, before) = (*last, self.snapshot.bound());
            let limit = (wanted - keys.len()) as i64;
            let query = NewKeys { workspace_id, after, before, limit };
            keys.extend(query.load::<KeyRow>(connection)?);
        }
        Ok(keys)
    }

    /// Adds the events of `keys` to the page, and moves the cursor past them. Returns whether the page
    /// had room for all.
    fn read_events(
        &mut self,
        connection: &mut PgConnection,
        keys: &[KeyRow],
    ) -> Result<bool, Error> {
        let mut events = HashMap::with_capacity(keys.len());
        for row in LookUp::of(self.owner, keys).load::<LookedUpRow>(connection)? {
            events.insert(row.key, row.event);
        }
        for (index, key) in keys.iter().enumerate() {
            // A key without an event is passed: the event was erased or has expired.
            let Some(event) = events.remove(&key.key) else { continue };
            if !self.page.push(event.into_event(self.owner)?) {
                self.pass(index.checked_sub(1).map(|before| keys[before]));
                return Ok(false);
            }
            self.pass(Some(*key));
            self.cursors.push(self.cursor.clone());
        }
        self.pass(keys.last().copied());
        Ok(true)
    }

    /// Moves the cursor past a key. Keys come in the order of [`Self::next_keys`].
    fn pass(&mut self, key: Option<KeyRow>) {
        let Some(KeyRow { position, key, .. }) = key else { return };
        let FeedCursor { last, open, partial, .. } = &mut self.cursor;
        let is_rest = partial.is_some_and(|partial| partial.position == position);
        if position > *last {
            // Those still open are added at the end.
            open.clear();
            *last = position;
        } else if !is_rest {
            open.retain(|open| *open > position || self.snapshot.is_open(*open));
        }
        *partial = Some(PartialPosition { position, key: EventKey(key) });
    }
}

#[cfg(test)]
mod tests;

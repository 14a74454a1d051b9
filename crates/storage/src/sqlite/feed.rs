//! The feed in SQLite. The row id of an event is its position: the number of an era, and below it a
//! number that is never given again. Transactions commit one after the other, so a cursor has no open
//! positions.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel::sqlite::Sqlite;
use mercurio_domain::Owner;
use mercurio_domain::store::{FeedCursor, FeedCursorError, FeedPage, FeedStart, PageBuilder};

use super::schema::{events, feed_eras};
use super::shared::feed::{ERA_SHIFT, EraTokens, token_of};
use super::shared::pages::{self, EventColumns};
use crate::error::Error;
use crate::rows::EventRow;

/// The last era. After as many, a database stays in it.
const MAX_ERA: i64 = 32_767;

#[derive(Debug, QueryableByName)]
struct NumbersRow {
    #[diesel(sql_type = BigInt)]
    era: i64,
    #[diesel(sql_type = BigInt)]
    last_number: i64,
}

/// Reserves `count` positions, and returns the first. A process that stores its first events begins an
/// era: the file may be a restored copy, whose later positions were given before.
pub(super) fn take_positions(
    connection: &mut SqliteConnection,
    count: usize,
    begins_era: bool,
) -> Result<i64, Error> {
    if begins_era {
        let begin = format!(
            "INSERT INTO feed_eras (era, token, last_number)
             SELECT era + 1, random() & 4294967295, last_number FROM feed_eras
             WHERE era = (SELECT max(era) FROM feed_eras) AND era < {MAX_ERA}"
        );
        diesel::sql_query(begin).execute(connection)?;
    }
    let take = "UPDATE feed_eras SET last_number = last_number + ?
        WHERE era = (SELECT max(era) FROM feed_eras) RETURNING era, last_number";
    let count = count as i64;
    let row: NumbersRow =
        diesel::sql_query(take).bind::<BigInt, _>(count).get_result(connection)?;
    Ok((row.era << ERA_SHIFT) + row.last_number - count + 1)
}

/// Returns a page of the feed of a workspace. Runs in one transaction. `has_era`: this process began the
/// newest era.
pub(super) fn page(
    connection: &mut SqliteConnection,
    owner: Owner,
    start: &FeedStart,
    limit: usize,
    has_era: bool,
) -> Result<Result<FeedPage, FeedCursorError>, Error> {
    let mut cursor = match start {
        FeedStart::After(cursor) => cursor.clone(),
        FeedStart::Oldest | FeedStart::Now => FeedCursor::oldest(owner.workspace_id),
    };
    if cursor.workspace_id != owner.workspace_id {
        return Ok(Err(FeedCursorError::OtherWorkspace));
    }
    if !has_passed(connection, &cursor, has_era)? {
        return Ok(Err(FeedCursorError::Replaced));
    }
    let (mut page, mut cursors) = (PageBuilder::new(limit), Vec::new());
    let mut is_newest = true;
    if *start == FeedStart::Now {
        cursor.last = newest(connection, owner)?.unwrap_or(cursor.last);
    } else {
        // One more than asked for shows whether others follow.
        let rows = page_query(owner, cursor.last, limit as i64 + 1)
            .load_iter::<FeedRow, DefaultLoadingMode>(connection)?;
        for row in rows {
            let FeedRow { row_id, event } = row?;
            if !page.push(event.into_event(owner)?) {
                is_newest = false;
                break;
            }
            cursor.last = row_id;
            cursors.push(cursor.clone());
        }
    }
    let mut tokens = EraTokens::default();
    for cursor in cursors.iter_mut().chain([&mut cursor]) {
        cursor.token = tokens.of(connection, cursor.last)?;
    }
    Ok(Ok(FeedPage { events: page.finish().events, cursors, next: cursor, is_newest }))
}

#[derive(Debug, Queryable)]
struct FeedRow {
    row_id: i64,
    event: EventRow,
}

type FeedQuery = diesel::dsl::IntoBoxed<
    'static,
    diesel::dsl::Select<events::table, (events::row_id, EventColumns)>,
    Sqlite,
>;

/// Reads the index on the workspace, which has the order of row ids.
fn page_query(owner: Owner, after: i64, limit: i64) -> FeedQuery {
    // The sign keeps SQLite from the index on time, whose rows it would have to sort.
    let of_tenant = diesel::dsl::sql::<Bool>("+tenant_id = ");
    events::table
        .select((events::row_id, pages::columns()))
        .into_boxed()
        .filter(events::workspace_id.eq(owner.workspace_id.0))
        .filter(events::row_id.gt(after))
        .filter(of_tenant.bind::<BigInt, _>(owner.tenant_id.0))
        // A removed event keeps its row, for its key.
        .filter(events::removed_at.is_null())
        .order(events::row_id)
        .limit(limit)
}

/// Returns the highest position of a workspace.
fn newest(connection: &mut SqliteConnection, owner: Owner) -> Result<Option<i64>, Error> {
    let of_workspace = events::table.filter(events::workspace_id.eq(owner.workspace_id.0));
    Ok(of_workspace.select(diesel::dsl::max(events::row_id)).get_result(connection)?)
}

/// Whether later events come after the cursor. A restored copy may be behind it, and then goes on with
/// an era of its own; or it has gone on by itself, and does not know the cursor's.
fn has_passed(
    connection: &mut SqliteConnection,
    cursor: &FeedCursor,
    has_era: bool,
) -> Result<bool, Error> {
    let (newest_era, last_number) = feed_eras::table
        .select((feed_eras::era, feed_eras::last_number))
        .order(feed_eras::era.desc())
        .first::<(i64, i64)>(connection)?;
    let is_given = !has_era || cursor.last <= (newest_era << ERA_SHIFT) + last_number;
    Ok(is_given && token_of(connection, cursor.last)? == Some(cursor.token))
}

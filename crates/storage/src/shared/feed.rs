//! The feed for the backend's store: eras, the cursors of consumers, and a page by the backend's query.

use diesel::prelude::*;
use mercurio_domain::store::{Feed, FeedCursor, FeedError, FeedPage, FeedQuery, StoreError};
use mercurio_domain::{Owner, Timestamp};

use super::backend_schema::feed_eras;
use super::schema::feed_consumers::dsl::{
    cursor as cursor_text, feed_consumers, name as consumer, tenant_id, updated_at, workspace_id,
};
use super::{DbConnection, DbStore};
use crate::error::Error;
use crate::rows::Micros;

/// Bits of a position below its era.
pub(crate) const ERA_SHIFT: u32 = 48;

/// Returns the token of the era of a position; `None` for an unknown era. Events stored before the
/// feed have no era.
pub(crate) fn token_of(connection: &mut DbConnection, position: i64) -> Result<Option<u32>, Error> {
    let era = position >> ERA_SHIFT;
    if era <= 0 {
        return Ok(Some(0));
    }
    let token = feed_eras::table.find(era).select(feed_eras::token).first::<i64>(connection);
    Ok(token.optional()?.and_then(|token| u32::try_from(token).ok()))
}

/// Tokens of eras, for the cursors of a page: nearly always of one era.
#[derive(Debug, Default)]
pub(crate) struct EraTokens(Option<(i64, u32)>);

impl EraTokens {
    /// Returns the token of the era of a position.
    pub(crate) fn of(
        &mut self,
        connection: &mut DbConnection,
        position: i64,
    ) -> Result<u32, Error> {
        let era = position >> ERA_SHIFT;
        if let Some((known, token)) = self.0
            && known == era
        {
            return Ok(token);
        }
        let token = token_of(connection, position)?.unwrap_or_default();
        self.0 = Some((era, token));
        Ok(token)
    }
}

impl Feed for DbStore {
    fn feed(&self, owner: Owner, query: &FeedQuery) -> Result<FeedPage, FeedError> {
        Ok(self.read_feed(owner, query)??)
    }

    fn consumer_cursor(&self, owner: Owner, name: &str) -> Result<Option<FeedCursor>, StoreError> {
        Ok(self.read(|connection| cursor(connection, owner, name))?)
    }

    fn advance_consumer(
        &self,
        owner: Owner,
        name: &str,
        before: Option<&FeedCursor>,
        after: &FeedCursor,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.write(|connection| {
            let rows = match before {
                None => diesel::insert_into(feed_consumers)
                    .values((
                        tenant_id.eq(owner.tenant_id.0),
                        workspace_id.eq(owner.workspace_id.0),
                        consumer.eq(name),
                        cursor_text.eq(after.to_text()),
                        updated_at.eq(Micros::from(now)),
                    ))
                    .on_conflict_do_nothing()
                    .execute(connection)?,
                // One statement compares and sets, so one of two consumers loses.
                Some(before) => diesel::update(
                    feed_consumers
                        .filter(tenant_id.eq(owner.tenant_id.0))
                        .filter(workspace_id.eq(owner.workspace_id.0))
                        .filter(consumer.eq(name))
                        .filter(cursor_text.eq(before.to_text())),
                )
                .set((cursor_text.eq(after.to_text()), updated_at.eq(Micros::from(now))))
                .execute(connection)?,
            };
            Ok(rows == 1)
        })?)
    }
}

fn cursor(
    connection: &mut DbConnection,
    owner: Owner,
    name: &str,
) -> Result<Option<FeedCursor>, Error> {
    let text = feed_consumers
        .filter(tenant_id.eq(owner.tenant_id.0))
        .filter(workspace_id.eq(owner.workspace_id.0))
        .filter(consumer.eq(name))
        .select(cursor_text)
        .first::<String>(connection)
        .optional()?;
    let cursor = text.map(|text| FeedCursor::from_text(&text)).transpose();
    cursor.map_err(|_| Error::unreadable("the cursor of a consumer"))
}

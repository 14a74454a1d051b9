//! The feed in memory. Calls store one after the other, so a cursor has no open positions.

use super::MemoryStore;
use crate::clock::Timestamp;
use crate::ids::Owner;
use crate::store::{
    Feed, FeedCursor, FeedCursorError, FeedError, FeedPage, FeedQuery, FeedStart, PageBuilder,
    StoreError,
};

impl Feed for MemoryStore {
    fn feed(&self, owner: Owner, query: &FeedQuery) -> Result<FeedPage, FeedError> {
        let state = self.readable()?;
        let newest = state.feed.len() as i64 - 1;
        let mut next = match &query.start {
            FeedStart::Oldest => FeedCursor::oldest(owner.workspace_id),
            FeedStart::After(cursor) => cursor.clone(),
            FeedStart::Now => {
                let next = FeedCursor { last: newest, ..FeedCursor::oldest(owner.workspace_id) };
                return Ok(FeedPage {
                    events: Vec::new(),
                    cursors: Vec::new(),
                    next,
                    is_newest: true,
                });
            }
        };
        if next.workspace_id != owner.workspace_id {
            return Err(FeedCursorError::OtherWorkspace.into());
        }
        if next.last > newest {
            return Err(FeedCursorError::Replaced.into());
        }
        let mut page = PageBuilder::new(query.limit);
        let mut cursors = Vec::new();
        let mut is_newest = true;
        for (position, (of, key)) in state.feed.iter().enumerate().skip((next.last + 1) as usize) {
            let event = state.events.get(&(owner.tenant_id, *key)).and_then(Option::as_ref);
            let event = event.filter(|_| *of == owner);
            if let Some(event) = event
                && !page.push(event.clone())
            {
                is_newest = false;
                break;
            }
            next.last = position as i64;
            if event.is_some() {
                cursors.push(next.clone());
            }
        }
        Ok(FeedPage { events: page.finish().events, cursors, next, is_newest })
    }

    fn consumer_cursor(&self, owner: Owner, name: &str) -> Result<Option<FeedCursor>, StoreError> {
        Ok(self.available()?.consumers.get(&(owner, name.to_owned())).cloned())
    }

    fn advance_consumer(
        &self,
        owner: Owner,
        name: &str,
        before: Option<&FeedCursor>,
        after: &FeedCursor,
        _now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut state = self.available()?;
        let key = (owner, name.to_owned());
        if state.consumers.get(&key) != before {
            return Ok(false);
        }
        state.consumers.insert(key, after.clone());
        Ok(true)
    }
}

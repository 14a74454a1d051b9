//! When API keys were used last: gathered here, written now and then, at most once a minute for each key.
//!
//! A request pays a look at a time that it has at hand; once a minute and key it takes a lock. What is lost with the process
//! is a minute. Not here: who writes ([`crate::catalog_follower`]).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mercurio_domain::api_key::ApiKey;
use mercurio_domain::{ApiKeyId, Timestamp};

/// How long one note holds.
const MINUTE_MICROS: i64 = 60_000_000;
/// Keys that are remembered at most; those above are noted again next time.
const MAX_KEYS: usize = 20_000;

/// The uses that are not written yet, and those that were a moment ago.
#[derive(Debug, Default)]
pub struct KeyUses(Mutex<Uses>);

#[derive(Debug, Default)]
struct Uses {
    waiting: HashMap<ApiKeyId, Timestamp>,
    /// A key that was read before its use was written does not know of it.
    written: HashMap<ApiKeyId, Timestamp>,
}

impl KeyUses {
    /// Notes that `key` is used at `now`.
    pub fn note(&self, key: &ApiKey, now: Timestamp) {
        let is_old = |used_at: Timestamp| now.micros_since(used_at) >= MINUTE_MICROS;
        if key.last_used_at.is_some_and(|used_at| !is_old(used_at)) {
            return;
        }
        let mut uses = self.lock();
        if uses.written.get(&key.id).is_some_and(|used_at| !is_old(*used_at)) {
            return;
        }
        if uses.waiting.len() < MAX_KEYS {
            uses.waiting.entry(key.id.clone()).or_insert(now);
        }
    }

    /// The uses to write now.
    #[must_use]
    pub fn take(&self) -> Vec<(ApiKeyId, Timestamp)> {
        let mut uses = self.lock();
        let taken: Vec<_> = std::mem::take(&mut uses.waiting).into_iter().collect();
        if uses.written.len() + taken.len() > MAX_KEYS {
            uses.written.clear();
        }
        uses.written.extend(taken.iter().cloned());
        taken
    }

    /// Takes back uses that could not be written.
    pub fn give_back(&self, not_written: Vec<(ApiKeyId, Timestamp)>) {
        let mut uses = self.lock();
        for (id, used_at) in not_written {
            uses.written.remove(&id);
            uses.waiting.entry(id).or_insert(used_at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Uses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use mercurio_domain::store::Catalog;
    use mercurio_domain::testing::{MemoryStore, at, provisioning};

    use super::*;

    #[test]
    fn a_key_is_written_once_a_minute() {
        let store = MemoryStore::default();
        let start = at("2026-11-22T10:00:00Z");
        let (request, _) = provisioning("acme", 1, start);
        store.provision(&request).unwrap();
        let uses = KeyUses::default();
        let mut written = 0;
        // The cache knows an older state of the key for five seconds.
        let mut known = store.find_api_key(&request.key_id).unwrap().unwrap();
        for tenths in 0..1_800 {
            let now = Timestamp::from_micros(start.as_micros() + tenths * 100_000).unwrap();
            uses.note(&known, now);
            if tenths % 10 == 9 {
                let taken = uses.take();
                written += taken.len();
                store.note_key_uses(&taken).unwrap();
            }
            if tenths % 50 == 49 {
                known = store.find_api_key(&request.key_id).unwrap().unwrap();
            }
        }
        assert_eq!(written, 3);
        assert_eq!(known.last_used_at, Some(at("2026-11-22T10:02:00Z")));
    }

    #[test]
    fn what_could_not_be_written_is_not_lost() {
        let store = MemoryStore::default();
        let now = at("2026-11-22T10:00:00Z");
        let (request, _) = provisioning("acme", 1, now);
        let key = store.provision(&request).unwrap().api_key;
        let uses = KeyUses::default();
        uses.note(&key, now);
        let taken = uses.take();
        assert_eq!((taken.len(), uses.take().len()), (1, 0));
        uses.note(&key, now);
        assert_eq!(uses.take().len(), 0, "it is being written");
        uses.give_back(taken);
        assert_eq!(uses.take(), [(request.key_id, now)]);
    }
}

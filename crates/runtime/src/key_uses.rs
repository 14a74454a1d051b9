//! The last use of each API key: collected here, written in the background, at most once a minute
//! per key.
//!
//! A request compares two times; once a minute per key it takes a lock. A crash loses at most the
//! last minute. [`crate::catalog_follower`] writes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mercurio_domain::api_key::{ApiKey, KeyUse};
use mercurio_domain::{ApiKeyId, Timestamp};

/// Minimum time between two recorded uses of a key.
const MINUTE_MICROS: i64 = 60_000_000;
/// Maximum number of keys in memory. Further keys are recorded with their next use.
const MAX_KEYS: usize = 20_000;

/// Uses of API keys.
#[derive(Debug, Default)]
pub struct KeyUses(Mutex<Uses>);

#[derive(Debug, Default)]
struct Uses {
    waiting: HashMap<ApiKeyId, Timestamp>,
    /// Uses already taken. The cached copy of a key may be older than the write of its use.
    written: HashMap<ApiKeyId, Timestamp>,
}

impl KeyUses {
    /// Records that `key` is used at `now`.
    pub fn record(&self, key: &ApiKey, now: Timestamp) {
        let is_old = |used_at: Timestamp| now.micros_since(used_at) >= MINUTE_MICROS;
        // The cached key has a recent use, so no lock is needed.
        if key.last_used_at.is_some_and(|used_at| !is_old(used_at)) {
            return;
        }
        let mut uses = self.lock();
        if uses.written.get(&key.id).is_some_and(|used_at| !is_old(*used_at)) {
            return;
        }
        if uses.waiting.len() < MAX_KEYS {
            // The first use of a minute counts.
            uses.waiting.entry(key.id.clone()).or_insert(now);
        }
    }

    /// Takes the uses to write.
    #[must_use]
    pub fn take(&self) -> Vec<KeyUse> {
        let mut uses = self.lock();
        let taken = std::mem::take(&mut uses.waiting);
        // A cleared memory costs one extra write per key in use.
        if uses.written.len() + taken.len() > MAX_KEYS {
            uses.written.clear();
        }
        uses.written.extend(taken.iter().map(|(key_id, used_at)| (key_id.clone(), *used_at)));
        taken.into_iter().map(|(key_id, used_at)| KeyUse { key_id, used_at }).collect()
    }

    /// Returns uses after a failed write.
    pub fn give_back(&self, not_written: Vec<KeyUse>) {
        let mut uses = self.lock();
        for KeyUse { key_id, used_at } in not_written {
            uses.written.remove(&key_id);
            // A newer use may wait already.
            uses.waiting.entry(key_id).or_insert(used_at);
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
    fn key_use_is_written_once_a_minute() {
        let store = MemoryStore::default();
        let start = at("2026-11-22T10:00:00Z");
        let (request, _) = provisioning("acme", 1, start);
        store.provision(&request).unwrap();
        let uses = KeyUses::default();
        let mut written = 0;
        // The cached copy of the key is up to five seconds old.
        let mut known = store.find_api_key(&request.key_id).unwrap().unwrap();
        // Three minutes of requests, ten per second, written every second.
        for tenths in 0..1_800 {
            let now = Timestamp::from_micros(start.as_micros() + tenths * 100_000).unwrap();
            uses.record(&known, now);
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
    fn key_use_survives_a_failed_write() {
        let store = MemoryStore::default();
        let now = at("2026-11-22T10:00:00Z");
        let (request, _) = provisioning("acme", 1, now);
        let key = store.provision(&request).unwrap().api_key;
        let uses = KeyUses::default();
        uses.record(&key, now);
        let taken = uses.take();
        assert_eq!((taken.len(), uses.take().len()), (1, 0));
        uses.record(&key, now);
        assert_eq!(uses.take().len(), 0, "the write is under way");
        uses.give_back(taken);
        assert_eq!(uses.take(), [KeyUse { key_id: request.key_id, used_at: now }]);
    }
}

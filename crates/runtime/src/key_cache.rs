//! API keys that were seen lately, so that a request does not wait for the database to be authenticated.
//!
//! What changes is forgotten when the catalogue tells of it ([`crate::catalog_follower`]). Where nobody told us, a revocation is
//! bounded by the short time for which a key is kept. A key in use is read again in
//! the background when half of that time is over, so that its requests never wait. Keys that don't exist are remembered
//! apart, in a cache of bounded size, so that guessing neither asks the database each time, nor fills the memory, nor drives
//! out keys that do. What a key may do is not decided here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mercurio_domain::api_key::ApiKey;
use mercurio_domain::store::{CatalogChange, Store, StoreError};
use mercurio_domain::{ApiKeyId, TenantId};
use mercurio_observability::{chain, context, keys};
use quick_cache::sync::Cache;
use slog::warn;
use tokio::sync::Semaphore;

/// Keys that are kept. One takes about 400 bytes.
const KNOWN_KEYS: usize = 20_000;
/// Keys that don't exist and are remembered. One takes about 100 bytes.
const UNKNOWN_KEYS: usize = 20_000;
/// Questions to the database at the same time, about keys not seen before and about those to be read again.
const LOOKUPS: usize = 4;
/// How long a request waits for its turn to ask.
const TURN: Duration = Duration::from_secs(2);
/// How long a database that was away counts as away: meanwhile nobody waits for it to be away again.
const AWAY: Duration = Duration::from_secs(1);

/// The cache. Shared by all workers; clones see the same keys.
#[derive(Clone)]
pub struct KeyCache {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    known: Cache<ApiKeyId, Arc<Known>>,
    unknown: Cache<ApiKeyId, Instant>,
    lifetime: Duration,
    first_lookups: Semaphore,
    repeated_lookups: Arc<Semaphore>,
    /// When the database last was away.
    away_at: Mutex<Option<Instant>>,
    /// How often something was forgotten. What was read before the last time may be what is to be forgotten.
    forgotten: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

struct Known {
    key: Arc<ApiKey>,
    read_at: Instant,
    being_read_again: AtomicBool,
}

/// Why a key could not be looked up.
#[derive(Debug)]
pub enum KeyLookupError {
    /// Too many keys are being looked up.
    Overloaded,
    /// The store did not answer.
    Store(StoreError),
}

impl KeyCache {
    /// An empty cache that keeps what it reads for `lifetime`; zero: every request asks the database.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, lifetime: Duration) -> Self {
        let shared = Shared {
            store,
            known: Cache::new(KNOWN_KEYS),
            unknown: Cache::new(UNKNOWN_KEYS),
            lifetime,
            first_lookups: Semaphore::new(LOOKUPS),
            repeated_lookups: Arc::new(Semaphore::new(LOOKUPS)),
            away_at: Mutex::new(None),
            forgotten: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The key of that id, as it was at most one lifetime ago; `None` where there was none.
    ///
    /// # Errors
    /// [`KeyLookupError`] where the key is not in the cache and the database does not say.
    pub async fn get(&self, id: &ApiKeyId) -> Result<Option<Arc<ApiKey>>, KeyLookupError> {
        if let Some(answer) = self.cached(id) {
            self.shared.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(answer);
        }
        self.shared.misses.fetch_add(1, Ordering::Relaxed);
        self.shared.check_not_away()?;
        let turn = tokio::time::timeout(TURN, self.shared.first_lookups.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(KeyLookupError::Overloaded);
        };
        // Somebody else may have asked while this request waited for its turn.
        if let Some(answer) = self.cached(id) {
            return Ok(answer);
        }
        self.shared.check_not_away()?;
        let (shared, id) = (Arc::clone(&self.shared), id.clone());
        let read = tokio::task::spawn_blocking(move || shared.read(&id)).await;
        let read = read.unwrap_or_else(|panic| Err(StoreError::Internal(panic.into())));
        read.map_err(KeyLookupError::Store)
    }

    /// How often a key was found here, and how often it was not.
    #[must_use]
    pub fn lookups(&self) -> (u64, u64) {
        (self.shared.hits.load(Ordering::Relaxed), self.shared.misses.load(Ordering::Relaxed))
    }

    /// Forgets what has changed: the next request asks the database.
    pub fn forget(&self, change: &CatalogChange) {
        let shared = &self.shared;
        // Before anything is taken away: a read that is under way must not put it back.
        shared.forgotten.fetch_add(1, Ordering::SeqCst);
        match change {
            CatalogChange::ApiKey(id) => {
                shared.known.remove(id);
                shared.unknown.remove(id);
            }
            CatalogChange::Tenant(id) => shared.forget_tenant(*id),
            CatalogChange::Anything => {
                shared.known.clear();
                shared.unknown.clear();
            }
        }
    }

    /// What the cache knows; the outer `None`: nothing.
    fn cached(&self, id: &ApiKeyId) -> Option<Option<Arc<ApiKey>>> {
        let shared = &self.shared;
        if let Some(known) = shared.known.get(id) {
            let age = known.read_at.elapsed();
            if age < shared.lifetime {
                if age > shared.lifetime / 2
                    && !known.being_read_again.swap(true, Ordering::Relaxed)
                {
                    self.read_again(id, known.as_ref());
                }
                return Some(Some(Arc::clone(&known.key)));
            }
        }
        let unknown_since = shared.unknown.get(id)?;
        (unknown_since.elapsed() < shared.lifetime).then_some(None)
    }

    fn read_again(&self, id: &ApiKeyId, known: &Known) {
        let Ok(turn) = Arc::clone(&self.shared.repeated_lookups).try_acquire_owned() else {
            known.being_read_again.store(false, Ordering::Relaxed);
            return;
        };
        let (shared, id) = (Arc::clone(&self.shared), id.clone());
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            if let Err(error) = shared.read(&id) {
                // The old answer holds until its time is over; then a request waits for the database and is told.
                warn!(context::current(), "an API key could not be read again"; keys::KEY_ID => id.as_str(), keys::ERROR => chain(&error));
            }
        });
    }
}

impl Shared {
    fn check_not_away(&self) -> Result<(), KeyLookupError> {
        let away_at = *self.away_at.lock().unwrap_or_else(PoisonError::into_inner);
        if away_at.is_some_and(|at| at.elapsed() < AWAY.min(self.lifetime)) {
            let reason = "it was away less than a second ago";
            return Err(KeyLookupError::Store(StoreError::Unavailable(reason.into())));
        }
        Ok(())
    }

    fn forget_tenant(&self, id: TenantId) {
        self.known.retain(|_, known| known.key.owner.tenant_id != id);
    }

    /// Asks the database and keeps what it says, unless something was forgotten meanwhile. Blocks.
    fn read(&self, id: &ApiKeyId) -> Result<Option<Arc<ApiKey>>, StoreError> {
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        let read = self.ask(id)?;
        if self.forgotten.load(Ordering::SeqCst) != forgotten {
            self.known.remove(id);
            self.unknown.remove(id);
        }
        Ok(read)
    }

    fn ask(&self, id: &ApiKeyId) -> Result<Option<Arc<ApiKey>>, StoreError> {
        // The age counts from before the question: what is read may have changed since.
        let read_at = Instant::now();
        let found = self.store.find_api_key(id);
        let away = found.as_ref().is_err_and(StoreError::is_unavailable);
        *self.away_at.lock().unwrap_or_else(PoisonError::into_inner) = away.then(Instant::now);
        let Some(key) = found? else {
            self.known.remove(id);
            self.unknown.insert(id.clone(), read_at);
            return Ok(None);
        };
        let key = Arc::new(key);
        let known =
            Known { key: Arc::clone(&key), read_at, being_read_again: AtomicBool::new(false) };
        self.unknown.remove(id);
        self.known.insert(id.clone(), Arc::new(known));
        Ok(Some(key))
    }
}

#[cfg(test)]
mod tests {
    use mercurio_domain::store::Catalog;
    use mercurio_domain::testing::{MemoryStore, at, provisioning};

    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    fn store_with_key() -> (Arc<MemoryStore>, ApiKeyId) {
        let store = Arc::new(MemoryStore::default());
        let (request, _) = provisioning("acme", 1, at("2026-11-22T10:00:00Z"));
        store.provision(&request).unwrap();
        (store, request.key_id)
    }

    #[tokio::test]
    async fn a_key_is_read_once_while_it_is_fresh() {
        let (store, id) = store_with_key();
        let cache = KeyCache::new(store.clone(), NEVER);
        for _ in 0..100 {
            assert_eq!(cache.get(&id).await.unwrap().unwrap().id, id);
        }
        assert_eq!(store.key_reads(), 1);
        store.set_unavailable(true);
        assert!(cache.get(&id).await.is_ok(), "a fresh key needs no database");
    }

    #[tokio::test]
    async fn a_key_that_is_not_fresh_is_read_again() {
        let (store, id) = store_with_key();
        let cache = KeyCache::new(store.clone(), Duration::ZERO);
        assert!(cache.get(&id).await.unwrap().unwrap().revoked_at.is_none());
        store.revoke_api_key(&id, at("2026-11-22T11:00:00Z")).unwrap();
        assert!(cache.get(&id).await.unwrap().unwrap().revoked_at.is_some());
        store.set_unavailable(true);
        assert!(matches!(cache.get(&id).await, Err(KeyLookupError::Store(_))));
    }

    #[tokio::test]
    async fn what_has_changed_is_forgotten_and_the_rest_is_kept() {
        let (store, id) = store_with_key();
        let (request, _) = provisioning("other", 2, at("2026-11-22T10:00:00Z"));
        let other = store.provision(&request).unwrap();
        let tenant_id = store.find_api_key(&id).unwrap().unwrap().owner.tenant_id;
        let cache = KeyCache::new(store.clone(), NEVER);
        for change in [
            CatalogChange::ApiKey(id.clone()),
            CatalogChange::Tenant(tenant_id),
            CatalogChange::Anything,
        ] {
            for id in [&id, &other.api_key.id, &ApiKeyId::new("nobody")] {
                cache.get(id).await.unwrap();
            }
            let reads = store.key_reads();
            cache.forget(&change);
            cache.get(&id).await.unwrap();
            assert_eq!(store.key_reads(), reads + 1, "{change:?}");
            cache.get(&other.api_key.id).await.unwrap();
            assert_eq!(
                store.key_reads(),
                reads + 1 + usize::from(change == CatalogChange::Anything),
                "{change:?}"
            );
        }
        cache.get(&ApiKeyId::new("nobody")).await.unwrap();
        cache.forget(&CatalogChange::ApiKey(ApiKeyId::new("nobody")));
        let reads = store.key_reads();
        cache.get(&ApiKeyId::new("nobody")).await.unwrap();
        assert_eq!(store.key_reads(), reads + 1, "a key that was just made is found");
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_not_waited_for_by_everybody() {
        let (store, id) = store_with_key();
        let cache = KeyCache::new(store.clone(), NEVER);
        store.set_unavailable(true);
        for _ in 0..100 {
            assert!(matches!(cache.get(&id).await, Err(KeyLookupError::Store(_))));
        }
        assert_eq!(store.key_reads(), 1);
        store.set_unavailable(false);
        *cache.shared.away_at.lock().unwrap() = Instant::now().checked_sub(AWAY);
        assert!(cache.get(&id).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_key_that_does_not_exist_is_asked_for_once() {
        let (store, _) = store_with_key();
        let cache = KeyCache::new(store.clone(), NEVER);
        for _ in 0..100 {
            assert!(cache.get(&ApiKeyId::new("nobody")).await.unwrap().is_none());
        }
        assert_eq!(store.key_reads(), 1);
    }

    #[tokio::test]
    async fn guessing_neither_fills_the_memory_nor_drives_out_keys_that_exist() {
        let (store, id) = store_with_key();
        let cache = KeyCache::new(store.clone(), NEVER);
        cache.get(&id).await.unwrap();
        for guess in 0..3 * UNKNOWN_KEYS {
            cache.shared.read(&ApiKeyId::new(format!("guess {guess}"))).unwrap();
        }
        assert!(cache.shared.unknown.len() <= UNKNOWN_KEYS);
        let reads = store.key_reads();
        assert!(cache.get(&id).await.unwrap().is_some());
        assert_eq!(store.key_reads(), reads);
    }

    #[tokio::test]
    async fn a_burst_for_one_key_asks_the_database_only_a_few_times() {
        let (store, id) = store_with_key();
        let cache = Arc::new(KeyCache::new(store.clone(), NEVER));
        let burst: Vec<_> = (0..256)
            .map(|_| {
                let (cache, id) = (Arc::clone(&cache), id.clone());
                tokio::spawn(async move { cache.get(&id).await.unwrap().is_some() })
            })
            .collect();
        for found in burst {
            assert!(found.await.unwrap());
        }
        assert!(store.key_reads() <= LOOKUPS, "{}", store.key_reads());
    }
}

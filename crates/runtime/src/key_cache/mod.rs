//! A cache of API keys, so that authentication does not wait for the database.
//!
//! [`crate::catalog_follower`] removes changed keys. Without its notice, the lifetime of an entry
//! bounds the age of a revocation. A key in use is refreshed in the background after half its
//! lifetime, so its requests never wait. Ids of unknown keys have a bounded cache of their own:
//! guessing neither reaches the database each time, nor fills the memory, nor evicts real keys.
//! Concurrent requests for one missing key wait for a single lookup.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mercurio_domain::api_key::ApiKey;
use mercurio_domain::store::{CatalogChange, Store, StoreError};
use mercurio_domain::{ApiKeyId, TenantId};
use mercurio_observability::{chain, context, keys};
use quick_cache::sync::Cache;
use slog::warn;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// Maximum number of cached keys. One takes about 400 bytes.
const KNOWN_KEYS: usize = 20_000;
/// Maximum number of cached ids of unknown keys. One takes about 100 bytes.
const UNKNOWN_KEYS: usize = 20_000;
/// Maximum number of concurrent lookups of missing keys and refreshes, together. Other reads of the
/// system, such as the readiness probe, need the rest of their connections.
const LOOKUPS: usize = 4;
/// Maximum time a request waits before its lookup starts.
const LOOKUP_WAIT: Duration = Duration::from_secs(2);
/// Maximum time for the answer of the database. A connection whose packets vanish fails only after
/// many seconds.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
/// Time without lookups after one failed on an unavailable database, so that requests fail at once.
const UNAVAILABLE_PAUSE: Duration = Duration::from_secs(1);

/// A cache of API keys. Clones share their entries.
#[derive(Clone)]
pub struct KeyCache {
    shared: Arc<SharedCache>,
}

struct SharedCache {
    store: Arc<dyn Store>,
    known: Cache<ApiKeyId, Arc<CachedKey>>,
    unknown: Cache<ApiKeyId, Instant>,
    lifetime: Duration,
    lookups: Arc<Semaphore>,
    unavailable_at: Mutex<Option<Instant>>,
    /// Number of calls of [`KeyCache::forget`]. A lookup that overlaps with one may have read the
    /// old state.
    forgotten: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

struct CachedKey {
    key: Arc<ApiKey>,
    read_at: Instant,
    is_refreshing: AtomicBool,
}

/// The result of a successful lookup; `None`: no such key.
type Lookup = Option<Arc<ApiKey>>;

/// Hits and misses since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCacheCounts {
    /// Lookups answered from the cache.
    pub hits: u64,
    /// Lookups that needed the database.
    pub misses: u64,
}

/// A failed lookup.
#[derive(Debug)]
pub enum KeyLookupError {
    /// Too many other lookups are running.
    Overloaded,
    /// The database failed.
    Store(StoreError),
}

impl KeyCache {
    /// Returns an empty cache. Entries live for `lifetime`; with zero, every request reads the
    /// database.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, lifetime: Duration) -> Self {
        let shared = SharedCache {
            store,
            known: Cache::new(KNOWN_KEYS),
            unknown: Cache::new(UNKNOWN_KEYS),
            lifetime,
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            unavailable_at: Mutex::new(None),
            forgotten: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the key with this id, at most one lifetime old, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`KeyLookupError`] if the key is not cached and the lookup fails.
    pub async fn get(&self, id: &ApiKeyId) -> Result<Lookup, KeyLookupError> {
        if let Some(cached) = self.cached(id) {
            self.shared.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(cached);
        }
        self.shared.misses.fetch_add(1, Ordering::Relaxed);
        let deadline = Instant::now() + LOOKUP_WAIT;
        if self.shared.lifetime.is_zero() {
            return self.look_up(id, deadline).await;
        }
        // By hand, because `get_or_insert_async` has two gaps: a request after `forget` could get
        // the value of a lookup from before it, and the wait for another request's lookup could not
        // be bounded apart from the lookup itself. So a value loaded by another request is read
        // from the cache, from where `forget` removes it.
        loop {
            // An expired entry would be returned as a value, without a guard.
            self.shared.known.remove_if(id, |known| !self.shared.is_fresh(known.read_at));
            match timeout_at(deadline, self.shared.known.get_value_or_guard_async(id)).await {
                Err(_) => return Err(KeyLookupError::Overloaded),
                // The guard makes other requests for this key wait. Dropped without a value, it
                // wakes the next one.
                Ok(Err(_guard)) => match self.cached(id) {
                    Some(cached) => return Ok(cached),
                    None => return self.look_up(id, deadline).await,
                },
                Ok(Ok(_)) => {
                    if let Some(cached) = self.cached(id) {
                        return Ok(cached);
                    }
                }
            }
        }
    }

    /// Returns hits and misses.
    #[must_use]
    pub fn counts(&self) -> KeyCacheCounts {
        KeyCacheCounts {
            hits: self.shared.hits.load(Ordering::Relaxed),
            misses: self.shared.misses.load(Ordering::Relaxed),
        }
    }

    /// Removes changed keys. The next request for one of them reads the database.
    pub fn forget(&self, change: &CatalogChange) {
        let shared = &self.shared;
        // Counted before the removal: see `SharedCache::read`.
        shared.forgotten.fetch_add(1, Ordering::SeqCst);
        match change {
            CatalogChange::ApiKey(id) => shared.remove(id),
            CatalogChange::Tenant(id) => shared.remove_tenant(*id),
            CatalogChange::Anything => {
                shared.known.clear();
                shared.unknown.clear();
            }
        }
    }

    /// Returns the cached answer, or `None` without one. Starts a refresh after half the lifetime.
    fn cached(&self, id: &ApiKeyId) -> Option<Lookup> {
        let shared = &self.shared;
        if let Some(known) = shared.known.get(id)
            && shared.is_fresh(known.read_at)
        {
            // `swap` selects one of many requests for the refresh.
            if known.read_at.elapsed() > shared.lifetime / 2
                && !known.is_refreshing.swap(true, Ordering::Relaxed)
            {
                self.refresh(id, &known);
            }
            return Some(Some(Arc::clone(&known.key)));
        }
        let read_at = shared.unknown.get(id)?;
        shared.is_fresh(read_at).then_some(None)
    }

    fn refresh(&self, id: &ApiKeyId, known: &CachedKey) {
        let Ok(permit) = Arc::clone(&self.shared.lookups).try_acquire_owned() else {
            // All permits are taken, so a later request tries again.
            known.is_refreshing.store(false, Ordering::Relaxed);
            return;
        };
        let (shared, id) = (Arc::clone(&self.shared), id.clone());
        tokio::task::spawn_blocking(move || {
            // The permit is held until the read ends.
            let _permit = permit;
            if let Err(error) = shared.read(&id) {
                // The entry stays until its lifetime is over. Then requests wait for the database,
                // and fail with it.
                warn!(context::current(), "API key refresh failed"; keys::KEY_ID => id.as_str(), keys::ERROR => chain(&error));
            }
        });
    }

    /// Reads the database, and waits until `deadline` for the start. Returns at most
    /// [`LOOKUP_TIMEOUT`] later.
    async fn look_up(&self, id: &ApiKeyId, deadline: Instant) -> Result<Lookup, KeyLookupError> {
        self.shared.check_available()?;
        let permit = Arc::clone(&self.shared.lookups).acquire_owned();
        let Ok(Ok(permit)) = timeout_at(deadline, permit).await else {
            return Err(KeyLookupError::Overloaded);
        };
        // Another lookup may have failed in the meantime.
        self.shared.check_available()?;
        let (shared, id) = (Arc::clone(&self.shared), id.clone());
        let read = tokio::task::spawn_blocking(move || {
            // Held until the read ends, which may outlast this request.
            let _permit = permit;
            shared.read(&id)
        });
        let Ok(read) = timeout(LOOKUP_TIMEOUT, read).await else {
            self.shared.note_availability(false);
            let reason = "no answer to a lookup within 3 seconds";
            return Err(KeyLookupError::Store(StoreError::Unavailable(reason.into())));
        };
        // A panic of the task counts as a failed lookup.
        let read = read.unwrap_or_else(|panic| Err(StoreError::Internal(panic.into())));
        read.map_err(KeyLookupError::Store)
    }
}

impl SharedCache {
    fn is_fresh(&self, read_at: Instant) -> bool {
        read_at.elapsed() < self.lifetime
    }

    fn note_availability(&self, is_available: bool) {
        let unavailable_at = (!is_available).then(Instant::now);
        *self.unavailable_at.lock().unwrap_or_else(PoisonError::into_inner) = unavailable_at;
    }

    fn check_available(&self) -> Result<(), KeyLookupError> {
        let unavailable_at = *self.unavailable_at.lock().unwrap_or_else(PoisonError::into_inner);
        // A short lifetime shortens the pause; with 0 each request asks the database.
        if unavailable_at.is_some_and(|at| at.elapsed() < UNAVAILABLE_PAUSE.min(self.lifetime)) {
            let reason = "the last lookup failed less than a second ago";
            return Err(KeyLookupError::Store(StoreError::Unavailable(reason.into())));
        }
        Ok(())
    }

    fn remove(&self, id: &ApiKeyId) {
        self.known.remove(id);
        self.unknown.remove(id);
    }

    fn remove_tenant(&self, id: TenantId) {
        // Unknown keys have no tenant, and a new key has its own notice.
        self.known.retain(|_, known| known.key.owner.tenant_id != id);
    }

    /// Reads a key from the database and caches the answer. Blocks.
    ///
    /// If [`KeyCache::forget`] ran since the read began, the answer may be old, and is removed.
    /// `forget` counts before it removes, and this caches before it compares the count, so one of
    /// the two sees the other.
    fn read(&self, id: &ApiKeyId) -> Result<Lookup, StoreError> {
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        let read = self.read_and_cache(id)?;
        if self.forgotten.load(Ordering::SeqCst) != forgotten {
            self.remove(id);
        }
        Ok(read)
    }

    fn read_and_cache(&self, id: &ApiKeyId) -> Result<Lookup, StoreError> {
        // The age counts from before the query: the key may change while it runs.
        let read_at = Instant::now();
        let found = self.store.find_api_key(id);
        self.note_availability(!found.as_ref().is_err_and(StoreError::is_unavailable));
        let Some(key) = found?.map(Arc::new) else {
            self.known.remove(id);
            self.unknown.insert(id.clone(), read_at);
            return Ok(None);
        };
        let known =
            CachedKey { key: Arc::clone(&key), read_at, is_refreshing: AtomicBool::new(false) };
        self.unknown.remove(id);
        self.known.insert(id.clone(), Arc::new(known));
        Ok(Some(key))
    }
}

#[cfg(test)]
mod tests;

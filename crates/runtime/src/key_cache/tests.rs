//! The cache over a store in memory that counts its reads.

use mercurio_domain::store::Catalog;
use mercurio_domain::testing::{MemoryStore, at, provisioning};

use super::*;

const NEVER: Duration = Duration::from_secs(3600);

struct Fixture {
    store: Arc<MemoryStore>,
    cache: KeyCache,
    id: ApiKeyId,
}

impl Fixture {
    /// A store with one key, and an empty cache.
    fn new(lifetime: Duration) -> Self {
        let store = Arc::new(MemoryStore::default());
        let (request, _) = provisioning("acme", 1, at("2026-11-22T10:00:00Z"));
        store.provision(&request).unwrap();
        let cache = KeyCache::new(Arc::clone(&store) as Arc<_>, lifetime);
        Self { store, cache, id: request.key_id }
    }

    async fn get(&self) -> Result<Lookup, KeyLookupError> {
        self.cache.get(&self.id).await
    }
}

fn nobody() -> ApiKeyId {
    ApiKeyId::new("nobody")
}

#[tokio::test]
async fn fresh_key_is_read_once() {
    let fixture = Fixture::new(NEVER);
    for _ in 0..100 {
        assert_eq!(fixture.get().await.unwrap().unwrap().id, fixture.id);
    }
    assert_eq!(fixture.store.key_reads(), 1);
    assert_eq!(fixture.cache.counts(), KeyCacheCounts { hits: 99, misses: 1 });
    fixture.store.set_unavailable(true);
    assert!(fixture.get().await.is_ok(), "a fresh key needs no database");
}

#[tokio::test]
async fn key_with_zero_lifetime_is_read_each_time() {
    let fixture = Fixture::new(Duration::ZERO);
    assert!(fixture.get().await.unwrap().unwrap().revoked_at.is_none());
    fixture.store.revoke_api_key(&fixture.id, at("2026-11-22T11:00:00Z")).unwrap();
    assert!(fixture.get().await.unwrap().unwrap().revoked_at.is_some());
    fixture.store.set_unavailable(true);
    assert!(matches!(fixture.get().await, Err(KeyLookupError::Store(_))));
}

#[tokio::test]
async fn expired_key_is_read_again() {
    let fixture = Fixture::new(NEVER);
    fixture.get().await.unwrap();
    let key = Arc::clone(&fixture.cache.shared.known.get(&fixture.id).unwrap().key);
    // An entry from an hour ago makes a wait unnecessary.
    let read_at = Instant::now().checked_sub(NEVER).unwrap();
    let expired = CachedKey { key, read_at, is_refreshing: AtomicBool::new(false) };
    fixture.cache.shared.known.insert(fixture.id.clone(), Arc::new(expired));
    assert!(fixture.get().await.unwrap().is_some());
    assert_eq!(fixture.store.key_reads(), 2);
    assert!(fixture.get().await.unwrap().is_some());
    assert_eq!(fixture.store.key_reads(), 2, "the new entry is fresh");
}

#[tokio::test]
async fn key_past_half_its_lifetime_is_refreshed_in_the_background() {
    let fixture = Fixture::new(NEVER);
    fixture.get().await.unwrap();
    let key = Arc::clone(&fixture.cache.shared.known.get(&fixture.id).unwrap().key);
    // Three quarters of the lifetime are over.
    let read_at = Instant::now().checked_sub(NEVER * 3 / 4).unwrap();
    let aged = CachedKey { key, read_at, is_refreshing: AtomicBool::new(false) };
    fixture.cache.shared.known.insert(fixture.id.clone(), Arc::new(aged));
    for _ in 0..10 {
        assert!(fixture.get().await.unwrap().is_some());
    }
    // The permits are back when the refresh has ended.
    let lookups = &fixture.cache.shared.lookups;
    drop(lookups.acquire_many(u32::try_from(LOOKUPS).unwrap()).await.unwrap());
    assert_eq!(fixture.store.key_reads(), 2);
    assert!(fixture.cache.shared.known.get(&fixture.id).unwrap().read_at > read_at);
}

#[tokio::test]
async fn changed_key_is_forgotten_and_others_are_kept() {
    let fixture = Fixture::new(NEVER);
    let (store, cache, id) = (&fixture.store, &fixture.cache, &fixture.id);
    let (request, _) = provisioning("other", 2, at("2026-11-22T10:00:00Z"));
    let other = store.provision(&request).unwrap().api_key.id;
    let tenant_id = store.find_api_key(id).unwrap().unwrap().owner.tenant_id;
    for change in [
        CatalogChange::ApiKey(id.clone()),
        CatalogChange::Tenant(tenant_id),
        CatalogChange::Anything,
    ] {
        for id in [id, &other, &nobody()] {
            cache.get(id).await.unwrap();
        }
        let reads = store.key_reads();
        cache.forget(&change);
        cache.get(id).await.unwrap();
        assert_eq!(store.key_reads(), reads + 1, "{change:?}");
        cache.get(&other).await.unwrap();
        // Only `Anything` removes the other key as well.
        let expected = reads + 1 + usize::from(change == CatalogChange::Anything);
        assert_eq!(store.key_reads(), expected, "{change:?}");
    }
    cache.get(&nobody()).await.unwrap();
    cache.forget(&CatalogChange::ApiKey(nobody()));
    let reads = store.key_reads();
    cache.get(&nobody()).await.unwrap();
    assert_eq!(store.key_reads(), reads + 1, "a new key is found");
}

#[tokio::test]
async fn unavailable_database_fails_requests_at_once() {
    let fixture = Fixture::new(NEVER);
    fixture.store.set_unavailable(true);
    for _ in 0..100 {
        assert!(matches!(fixture.get().await, Err(KeyLookupError::Store(_))));
    }
    assert_eq!(fixture.store.key_reads(), 1);
    fixture.store.set_unavailable(false);
    // The pause is over without a wait.
    let long_ago = Instant::now().checked_sub(UNAVAILABLE_PAUSE);
    *fixture.cache.shared.unavailable_at.lock().unwrap() = long_ago;
    assert!(fixture.get().await.unwrap().is_some());
}

#[tokio::test]
async fn unknown_key_is_read_once() {
    let fixture = Fixture::new(NEVER);
    for _ in 0..100 {
        assert!(fixture.cache.get(&nobody()).await.unwrap().is_none());
    }
    assert_eq!(fixture.store.key_reads(), 1);
}

#[tokio::test]
async fn guessed_keys_neither_fill_memory_nor_evict_real_ones() {
    let fixture = Fixture::new(NEVER);
    fixture.get().await.unwrap();
    for guess in 0..3 * UNKNOWN_KEYS {
        let id = ApiKeyId::new(format!("guess {guess}"));
        // Does the same as a request, without its thread.
        let guard = fixture.cache.shared.known.get_value_or_guard_async(&id).await;
        fixture.cache.shared.read(&id).unwrap();
        drop(guard);
    }
    assert!(fixture.cache.shared.unknown.len() <= UNKNOWN_KEYS);
    assert_eq!(fixture.cache.shared.known.len(), 1);
    let reads = fixture.store.key_reads();
    assert!(fixture.get().await.unwrap().is_some());
    assert_eq!(fixture.store.key_reads(), reads);
}

#[tokio::test]
async fn burst_for_one_key_reads_the_database_once() {
    let fixture = Fixture::new(NEVER);
    for id in [fixture.id.clone(), nobody()] {
        let reads = fixture.store.key_reads();
        let mut burst = Vec::new();
        // More requests than permits for lookups.
        for _ in 0..256 {
            let (cache, id) = (fixture.cache.clone(), id.clone());
            burst.push(tokio::spawn(async move { cache.get(&id).await.unwrap().is_some() }));
        }
        for found in burst {
            assert_eq!(found.await.unwrap(), id == fixture.id);
        }
        assert_eq!(fixture.store.key_reads(), reads + 1, "{id:?}");
    }
}

#[tokio::test]
async fn lookup_that_gets_no_turn_is_refused_as_overload() {
    let fixture = Fixture::new(NEVER);
    let all = u32::try_from(LOOKUPS).unwrap();
    let permits = fixture.cache.shared.lookups.acquire_many(all).await.unwrap();
    let past = Instant::now();
    let refused = fixture.cache.look_up(&fixture.id, past).await;
    assert!(matches!(refused, Err(KeyLookupError::Overloaded)));
    drop(permits);
    assert!(fixture.get().await.unwrap().is_some());
}

#[tokio::test]
async fn request_that_ends_during_a_lookup_blocks_no_other() {
    let fixture = Fixture::new(NEVER);
    let all = u32::try_from(LOOKUPS).unwrap();
    let permits = fixture.cache.shared.lookups.acquire_many(all).await.unwrap();
    let (cache, id) = (fixture.cache.clone(), fixture.id.clone());
    let first = tokio::spawn(async move { cache.get(&id).await.is_ok() });
    // The first request now waits for a permit and holds the guard of the key.
    tokio::task::yield_now().await;
    first.abort();
    drop(permits);
    assert!(fixture.get().await.unwrap().is_some());
    assert_eq!(fixture.store.key_reads(), 1);
}

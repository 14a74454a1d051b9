//! Admission over the memory store. A gate holds up its reads.

use mercurio_domain::Owner;
use mercurio_domain::store::{Catalog, EventWriter};
use mercurio_domain::testing::{MemoryStore, at, provisioning, submission};
use mercurio_domain::verdict::Outcome;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// Reads only on demand, and trusts a read for an hour.
fn on_demand() -> QuotaUsageOptions {
    QuotaUsageOptions { read_every: HOUR, max_age: HOUR, ..QuotaUsageOptions::default() }
}

struct Fixture {
    store: Arc<MemoryStore>,
    owner: Owner,
}

impl Fixture {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        let (request, _) = provisioning("acme", 1, now());
        let owner = store.provision(&request).unwrap().api_key.owner;
        Self { store, owner }
    }

    /// The usage as one server sees it.
    fn server(&self, options: QuotaUsageOptions) -> Arc<QuotaUsage> {
        let store = Arc::clone(&self.store) as Arc<dyn EventCounts>;
        Arc::new(QuotaUsage::start(store, options).unwrap())
    }

    fn reads(&self) -> usize {
        self.store.counts_gate.arrivals()
    }

    fn used(&self) -> u64 {
        self.store.event_count() as u64
    }

    /// Stores events, and returns how many were new.
    fn store(&self, ids: &[String]) -> u64 {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let outcomes = self.store.append(&[submission(self.owner, now(), &ids)]).unwrap();
        let is_new = |outcome: &&Outcome| **outcome == Outcome::Accepted;
        outcomes[0].iter().filter(is_new).count() as u64
    }

    async fn admit(
        &self,
        server: &QuotaUsage,
        events: u64,
        limit: u64,
    ) -> Result<Admission, AdmitError> {
        server.admit(self.owner.tenant_id, Month::of(now()), events, limit).await
    }

    /// A request as a server handles it: admits, stores, settles. Returns the number of events
    /// stored.
    async fn send(&self, server: &QuotaUsage, ids: &[String], limit: u64) -> Option<u64> {
        let admission = self.admit(server, ids.len() as u64, limit).await.ok()?;
        let stored = self.store(ids);
        admission.settle(stored);
        Some(stored)
    }
}

fn now() -> Timestamp {
    at("2026-11-22T10:00:00Z")
}

fn ids(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name}-{number}")).collect()
}

#[track_caller]
fn used_of(refused: Result<Admission, AdmitError>) -> u64 {
    match refused.err() {
        Some(AdmitError::Exceeded(exceeded)) => exceeded.used,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_connection_stores_the_quota_to_the_last_event() {
    let fixture = Fixture::new();
    let server = fixture.server(on_demand());
    for number in 0..3 {
        assert_eq!(fixture.send(&server, &ids(&format!("{number}"), 3), 10).await, Some(3));
    }
    assert_eq!(used_of(fixture.admit(&server, 2, 10).await), 9);
    assert_eq!(fixture.send(&server, &ids("last", 1), 10).await, Some(1));
    assert_eq!(used_of(fixture.admit(&server, 1, 10).await), 10);
    assert_eq!(fixture.used(), 10);
}

#[tokio::test]
async fn duplicates_are_given_back_once_they_are_settled() {
    let fixture = Fixture::new();
    let server = fixture.server(on_demand());
    assert_eq!(fixture.send(&server, &ids("a", 4), 10).await, Some(4));
    for _ in 0..5 {
        assert_eq!(fixture.send(&server, &ids("a", 4), 10).await, Some(0));
    }
    assert_eq!(fixture.send(&server, &ids("b", 6), 10).await, Some(6));
    assert_eq!(used_of(fixture.admit(&server, 1, 10).await), 10, "also for a duplicate");
}

#[tokio::test]
async fn tenant_at_its_limit_causes_no_read_per_request() {
    let fixture = Fixture::new();
    let server = fixture.server(on_demand());
    fixture.send(&server, &ids("a", 10), 10).await.unwrap();
    assert_eq!(used_of(fixture.admit(&server, 1, 10).await), 10);
    let reads = fixture.reads();
    for _ in 0..100 {
        assert_eq!(used_of(fixture.admit(&server, 1, 10).await), 10);
    }
    assert_eq!(fixture.reads(), reads);
}

#[tokio::test]
async fn requests_within_the_quota_share_one_read() {
    let fixture = Fixture::new();
    let server = fixture.server(on_demand());
    for number in 0..100 {
        fixture.send(&server, &ids(&format!("{number}"), 1), 1_000).await.unwrap();
    }
    assert_eq!(fixture.reads(), 1);
}

/// Requests room for one event.
async fn is_admitted(fixture: Arc<Fixture>, server: Arc<QuotaUsage>) -> bool {
    fixture.admit(&server, 1, 100).await.is_ok()
}

#[tokio::test]
async fn requests_that_come_during_a_read_share_the_next_one() {
    let fixture = Arc::new(Fixture::new());
    let server = fixture.server(QuotaUsageOptions { max_age: Duration::ZERO, ..on_demand() });
    fixture.store.counts_gate.close();
    let request = || tokio::spawn(is_admitted(Arc::clone(&fixture), Arc::clone(&server)));
    let first = request();
    tokio::task::yield_now().await;
    fixture.store.counts_gate.wait_for_arrivals(1);
    let others: Vec<_> = (0..10).map(|_| request()).collect();
    tokio::task::yield_now().await;
    fixture.store.counts_gate.let_through(1);
    assert!(first.await.unwrap());
    fixture.store.counts_gate.wait_for_arrivals(2);
    assert!(others.iter().all(|other| !other.is_finished()), "their read has not started before");
    fixture.store.counts_gate.open();
    for other in others {
        assert!(other.await.unwrap());
    }
    assert_eq!(fixture.reads(), 2);
}

#[tokio::test]
async fn events_in_flight_count_whole_until_they_are_settled() {
    let fixture = Fixture::new();
    let server = fixture.server(on_demand());
    let admission = fixture.admit(&server, 6, 10).await.unwrap();
    assert_eq!(fixture.send(&server, &ids("b", 4), 10).await, Some(4));
    assert_eq!(used_of(fixture.admit(&server, 1, 10).await), 10);
    admission.settle(fixture.store(&ids("a", 1)));
    assert_eq!(fixture.send(&server, &ids("c", 5), 10).await, Some(5));
    assert_eq!((fixture.used(), fixture.reads()), (10, 1));
}

#[tokio::test]
async fn settlement_during_a_read_takes_a_further_read() {
    let fixture = Arc::new(Fixture::new());
    let server = fixture.server(on_demand());
    let admission = fixture.admit(&server, 6, 100).await.unwrap();
    // An unknown outcome makes the next request wait for a read. The first submission is in flight
    // over it.
    drop(fixture.admit(&server, 90, 100).await.unwrap());
    fixture.admit(&server, 5, 100).await.unwrap().settle(0);
    assert_eq!(fixture.reads(), 2);
    fixture.store.counts_gate.close();
    let unclear = {
        let (fixture, server) = (Arc::clone(&fixture), Arc::clone(&server));
        tokio::spawn(async move { fixture.send(&server, &ids("b", 5), 10).await })
    };
    tokio::task::yield_now().await;
    fixture.store.counts_gate.wait_for_arrivals(3);
    admission.settle(fixture.store(&ids("a", 3)));
    // This read sees the three events, and nobody knows that it does.
    fixture.store.counts_gate.open();
    assert_eq!(unclear.await.unwrap(), Some(5));
    assert_eq!((fixture.used(), fixture.reads()), (8, 4));
}

#[tokio::test]
async fn unknown_outcome_counts_as_stored_until_the_next_read() {
    let fixture = Fixture::new();
    let server = fixture.server(on_demand());
    drop(fixture.admit(&server, 6, 10).await.unwrap());
    assert_eq!(fixture.send(&server, &ids("a", 4), 10).await, Some(4));
    assert_eq!(fixture.reads(), 1);
    // It was not stored, as the next read shows.
    assert_eq!(fixture.send(&server, &ids("b", 6), 10).await, Some(6));
    assert_eq!(fixture.reads(), 2);
}

/// Sends 20 requests, interrupted after each step.
async fn send_many(fixture: Arc<Fixture>, server: Arc<QuotaUsage>, client: usize, limit: u64) {
    for number in 0..20 {
        // Some are sent by several clients.
        let of = if number % 3 == 0 { 0 } else { client };
        let ids = ids(&format!("{of}-{number}"), 1 + number % 5);
        let Ok(admission) = fixture.admit(&server, ids.len() as u64, limit).await else {
            continue;
        };
        tokio::task::yield_now().await;
        admission.settle(fixture.store(&ids));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn concurrent_requests_never_pass_the_quota() {
    const LIMIT: u64 = 103;
    let fixture = Arc::new(Fixture::new());
    let server = fixture.server(on_demand());
    let mut clients = Vec::new();
    for client in 0..8 {
        let sending = send_many(Arc::clone(&fixture), Arc::clone(&server), client, LIMIT);
        clients.push(tokio::spawn(sending));
    }
    for client in clients {
        client.await.unwrap();
    }
    assert!(fixture.used() <= LIMIT);
    while fixture.send(&server, &ids(&fixture.used().to_string(), 1), LIMIT).await.is_some() {}
    assert_eq!(fixture.used(), LIMIT);
}

#[tokio::test]
async fn two_servers_pass_the_quota_by_events_since_the_last_read() {
    let fixture = Fixture::new();
    let [first, second] = [on_demand(), on_demand()].map(|options| fixture.server(options));
    for server in [&first, &second] {
        assert_eq!(fixture.send(server, &ids(&fixture.used().to_string(), 1), 10).await, Some(1));
    }
    // Neither reads again before it has to.
    assert_eq!(fixture.send(&first, &ids("first", 7), 10).await, Some(7));
    assert_eq!(fixture.send(&second, &ids("second", 8), 10).await, Some(8));
    assert_eq!(fixture.used(), 17, "at most 10 and the 7 that the second had not read");
    for server in [&first, &second] {
        assert!(used_of(fixture.admit(server, 3, 10).await) >= 8);
    }
}

#[tokio::test]
async fn stale_read_is_not_trusted() {
    let fixture = Fixture::new();
    let options = QuotaUsageOptions { max_age: Duration::ZERO, ..on_demand() };
    let [first, second] = [options.clone(), options].map(|options| fixture.server(options));
    for (round, server) in [&first, &second, &first, &second].into_iter().enumerate() {
        assert_eq!(fixture.send(server, &ids(&format!("{round}"), 2), 9).await, Some(2));
    }
    for server in [&first, &second] {
        assert_eq!(used_of(fixture.admit(server, 2, 9).await), 8);
    }
}

#[tokio::test]
async fn active_tenants_are_read_without_a_waiting_request() {
    let fixture = Fixture::new();
    let options = QuotaUsageOptions { read_every: Duration::ZERO, ..on_demand() };
    let server = fixture.server(options);
    let admission = fixture.admit(&server, 1, 10).await.unwrap();
    // The request was active again after its own read had started.
    fixture.store.counts_gate.wait_for_arrivals(2);
    admission.settle(fixture.store(&ids("a", 1)));
    assert_eq!(fixture.send(&server, &ids("b", 9), 10).await, Some(9));
}

#[tokio::test]
async fn usage_that_cannot_be_read_admits_nothing() {
    let fixture = Fixture::new();
    let server = fixture.server(QuotaUsageOptions { max_age: Duration::ZERO, ..on_demand() });
    assert_eq!(fixture.send(&server, &ids("a", 1), 10).await, Some(1));
    fixture.store.set_unavailable(true);
    for _ in 0..2 {
        let refused = fixture.admit(&server, 1, 10).await.err();
        let is_unavailable = |error: &StoreError| error.is_unavailable();
        assert!(matches!(refused, Some(AdmitError::Unreadable(error)) if is_unavailable(&error)));
    }
    fixture.store.set_unavailable(false);
    assert_eq!(fixture.send(&server, &ids("b", 9), 10).await, Some(9));
    assert_eq!(used_of(fixture.admit(&server, 1, 10).await), 10);
}

#[tokio::test]
async fn months_are_counted_apart() {
    let fixture = Fixture::new();
    let server = fixture.server(on_demand());
    fixture.send(&server, &ids("a", 10), 10).await.unwrap();
    let tenant_id = fixture.owner.tenant_id;
    let december = Month::of(at("2026-12-01T00:00:00Z"));
    server.admit(tenant_id, december, 10, 10).await.unwrap().settle(10);
    // The clock goes back over the end of the month.
    assert_eq!(used_of(fixture.admit(&server, 1, 10).await), 10);
}

#[tokio::test]
async fn silent_tenants_are_forgotten_unless_events_are_in_flight() {
    let fixture = Fixture::new();
    let options =
        QuotaUsageOptions { forget_after: Duration::ZERO, max_age: Duration::ZERO, ..on_demand() };
    let server = fixture.server(options);
    let known = || server.shared.lock().tenants.len();
    let month = Month::of(now());
    let admission = server.admit(TenantId(1), month, 1, 10).await.unwrap();
    for other in 2..50 {
        server.admit(TenantId(other), month, 1, 10).await.unwrap().settle(0);
    }
    // The last ones may not be forgotten yet.
    assert!((1..=3).contains(&known()), "{}", known());
    assert!(server.shared.lock().tenants.contains_key(&(TenantId(1), month)));
    admission.settle(1);
}

#[tokio::test]
async fn used_ratios_are_those_of_the_store() {
    let fixture = Fixture::new();
    let server = fixture.server(on_demand());
    assert_eq!(server.used_ratios(now()).await, []);
    server.note(fixture.owner.tenant_id, 8);
    for (stored, ratio) in [(0, 0.0), (6, 0.75), (4, 1.25)] {
        fixture.store(&ids(&format!("{stored}"), stored));
        assert_eq!(server.used_ratios(now()).await, [(fixture.owner.tenant_id.0, ratio)]);
    }
    fixture.store.set_unavailable(true);
    assert_eq!(server.used_ratios(now()).await, []);
}

#[tokio::test]
async fn concurrent_scrapes_share_a_read() {
    let fixture = Fixture::new();
    let server = fixture.server(on_demand());
    server.note(fixture.owner.tenant_id, 8);
    let scrape = || server.used_ratios(now());
    let pages = tokio::join!(scrape(), scrape(), scrape(), scrape(), scrape());
    assert_eq!(pages.4, [(fixture.owner.tenant_id.0, 0.0)]);
    // The first one's read may start before the others are called.
    assert!(fixture.reads() <= 2, "{}", fixture.reads());
    // A later scrape sees what was stored in between.
    fixture.store(&ids("a", 2));
    assert_eq!(scrape().await, [(fixture.owner.tenant_id.0, 0.25)]);
}

#[tokio::test]
async fn shown_usage_is_exact_and_concurrent_calls_share_a_read() {
    let fixture = Fixture::new();
    let server = fixture.server(on_demand());
    let used = || server.used(fixture.owner.tenant_id, Month::of(now()));
    assert_eq!(used().await.unwrap(), 0);
    assert_eq!(fixture.send(&server, &ids("a", 3), 10).await, Some(3));
    assert_eq!(used().await.unwrap(), 3);
    // Another server's events show at once.
    fixture.store(&ids("b", 2));
    let (reads, gate) = (fixture.reads(), &fixture.store.counts_gate);
    gate.close();
    // Polled in this order: the gate holds the first call's read until the others wait for the next.
    let held = async { gate.wait_for_arrivals(reads + 1) };
    let open = async { gate.open() };
    let (first, (), second, third, fourth, ()) =
        tokio::join!(used(), held, used(), used(), used(), open);
    for shown in [first, second, third, fourth] {
        assert_eq!(shown.unwrap(), 5);
    }
    assert_eq!(fixture.reads(), reads + 2);
    fixture.store.set_unavailable(true);
    assert!(used().await.is_err());
}

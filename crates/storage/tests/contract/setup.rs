//! The store under test, and shorthands for the cases.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use mercurio_domain::store::{Actor, EventQuery, Store, Submission};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::{MemoryStore, at, provisioning};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{EventId, Owner, Timestamp};
use mercurio_storage::testing::TestDatabase;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A store and its database.
pub(crate) struct Subject {
    pub(crate) store: Arc<dyn Store>,
    tenants: AtomicU8,
    database: Option<TestDatabase>,
}

impl Subject {
    pub(crate) fn memory() -> Self {
        let store = MemoryStore::default();
        store.set_actor(Some(actor()));
        Self::of(Arc::new(store), None)
    }

    pub(crate) fn sqlite() -> Self {
        let database = TestDatabase::sqlite();
        Self::of(database.store_of(actor()), Some(database))
    }

    pub(crate) fn postgres() -> Self {
        let database = TestDatabase::postgres();
        Self::of(database.store_of(actor()), Some(database))
    }

    /// With the schema of a newer compatible release.
    pub(crate) fn newer_sqlite() -> Self {
        Self::sqlite().with_newer_migration()
    }

    /// With the schema of a newer compatible release.
    pub(crate) fn newer_postgres() -> Self {
        Self::postgres().with_newer_migration()
    }

    fn with_newer_migration(self) -> Self {
        if let Some(database) = &self.database {
            database.apply_newer_migration();
        }
        self
    }

    fn of(store: Arc<dyn Store>, database: Option<TestDatabase>) -> Self {
        Self { store, tenants: AtomicU8::new(0), database }
    }

    /// The workspace of a new tenant.
    pub(crate) fn owner(&self) -> Owner {
        let number = self.tenants.fetch_add(1, Ordering::Relaxed);
        let (request, _) = provisioning(&format!("Tenant {number}"), number, now());
        self.store.provision(&request).unwrap().api_key.owner
    }

    /// Another workspace of the tenant, the same on each call.
    pub(crate) fn other_workspace(&self, owner: Owner) -> Owner {
        let name = Name::parse("Other workspace").unwrap();
        // A taken name was created by an earlier call.
        self.store.create_workspace(owner.tenant_id, &name, now()).ok();
        let workspaces = self.store.workspaces(owner.tenant_id).unwrap();
        let other = workspaces.iter().find(|workspace| workspace.name == name).unwrap();
        Owner { workspace_id: other.id, ..owner }
    }

    /// Appends one submission, and returns its outcomes.
    pub(crate) fn append(&self, submission: Submission) -> Vec<Outcome> {
        self.store.append(&[submission]).unwrap().remove(0)
    }

    /// Counts the events of a workspace in its pages.
    pub(crate) fn count(&self, owner: Owner) -> usize {
        self.event_ids(owner, &EventQuery { limit: 1000, ..EventQuery::default() }).len()
    }

    /// The ids of the matching events of a workspace, from all pages.
    pub(crate) fn event_ids(&self, owner: Owner, query: &EventQuery) -> Vec<String> {
        let mut query = query.clone();
        let mut ids = Vec::new();
        loop {
            let page = self.store.events(owner, &query).unwrap();
            assert!(page.events.len() <= query.limit);
            ids.extend(page.events.iter().map(|event| event.parts.event_id.to_string()));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return ids,
            }
        }
    }
}

/// The admin who runs all cases.
pub(crate) fn actor() -> Actor {
    Actor { name: "alice@db1".to_owned(), command: "contract".to_owned() }
}

/// The current time of all cases.
pub(crate) fn now() -> Timestamp {
    at("2026-11-22T10:00:00.123456Z")
}

/// The time `seconds` after [`now`].
pub(crate) fn after(seconds: i64) -> Timestamp {
    now().checked_add_micros(seconds * 1_000_000).unwrap()
}

/// The event of a valid draft.
pub(crate) fn event(draft: EventDraft<'_>, received_at: Timestamp) -> EnrichedEvent {
    let mut reception = Reception::at(received_at);
    reception.limits.max_event_age_days = 0;
    reception.limits.max_event_future_seconds = u32::MAX;
    reception.limits.max_event_bytes = usize::MAX;
    let mut errors = Vec::new();
    let valid = draft.check("", &reception, || EventId::lookup("made by the server"), &mut errors);
    let enrichment = Enrichment { client_ip: Some("192.0.2.7".into()), ..Enrichment::default() };
    EnrichedEvent::new(
        valid.unwrap_or_else(|| panic!("{errors:?}")),
        EnrichmentJson::of(&enrichment),
    )
}

/// A draft with the required members.
pub(crate) fn draft(event_id: &str) -> EventDraft<'_> {
    EventDraft {
        event_id: Some(event_id.into()),
        event_name: Some("e".into()),
        user_id: Some("u".into()),
        ..EventDraft::default()
    }
}

/// Runs `work` in `count` threads that start together, and returns their results in order.
pub(crate) fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = std::sync::Barrier::new(count);
    let (barrier, work) = (&barrier, &work);
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for index in 0..count {
            threads.push(scope.spawn(move || {
                barrier.wait();
                work(index)
            }));
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Checks a property on generated values.
pub(crate) fn check_law<S: Strategy>(
    strategy: S,
    law: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    // Each case has its own tenants in one database.
    // No file of failures: the cases depend on a database.
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&strategy, law).unwrap_or_else(|failure| panic!("{failure}"));
}

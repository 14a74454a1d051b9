//! A store to be tested, and the short words that cases use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use mercurio_domain::store::{EventQuery, Store, Submission};
use mercurio_domain::testing::{MemoryStore, at, provisioning};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{EventId, Owner, Timestamp, WorkspaceId};
use mercurio_storage::testing::TestDatabase;

/// A store, and the database that lives as long as it does.
pub(crate) struct Subject {
    pub(crate) store: Arc<dyn Store>,
    tenants: AtomicU8,
    _database: Option<TestDatabase>,
}

impl Subject {
    pub(crate) fn memory() -> Self {
        Self::of(Arc::new(MemoryStore::default()), None)
    }

    pub(crate) fn sqlite() -> Self {
        let database = TestDatabase::sqlite();
        Self::of(database.store(), Some(database))
    }

    pub(crate) fn postgres() -> Self {
        let database = TestDatabase::postgres();
        Self::of(database.store(), Some(database))
    }

    /// With a schema of a newer release that this one can share.
    pub(crate) fn newer_sqlite() -> Self {
        let subject = Self::sqlite();
        subject._database.iter().for_each(TestDatabase::widen);
        subject
    }

    /// The same.
    pub(crate) fn newer_postgres() -> Self {
        let subject = Self::postgres();
        subject._database.iter().for_each(TestDatabase::widen);
        subject
    }

    fn of(store: Arc<dyn Store>, database: Option<TestDatabase>) -> Self {
        Self { store, tenants: AtomicU8::new(0), _database: database }
    }

    /// The workspace of a new tenant.
    pub(crate) fn owner(&self) -> Owner {
        let number = self.tenants.fetch_add(1, Ordering::Relaxed);
        let (request, _) = provisioning(&format!("Tenant {number}"), number, now());
        self.store.provision(&request).unwrap().api_key.owner
    }

    /// Appends one submission, and returns its outcomes.
    pub(crate) fn append(&self, submission: Submission) -> Vec<Outcome> {
        self.store.append(&[submission]).unwrap().remove(0)
    }

    /// How many events a workspace has, told by its pages.
    pub(crate) fn count(&self, owner: Owner) -> usize {
        self.walk(owner, &EventQuery { limit: 1000, ..EventQuery::default() }).len()
    }

    /// The ids of a workspace's events that match, page after page.
    pub(crate) fn walk(&self, owner: Owner, query: &EventQuery) -> Vec<String> {
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

/// Another workspace of the same tenant. Events need no row in `workspaces`.
pub(crate) fn other_workspace(owner: Owner) -> Owner {
    Owner { workspace_id: WorkspaceId(owner.workspace_id.0 + 1000), ..owner }
}

/// The present of all cases.
pub(crate) fn now() -> Timestamp {
    at("2026-11-22T10:00:00.123456Z")
}

/// `now()` and some seconds.
pub(crate) fn after(seconds: i64) -> Timestamp {
    now().checked_add_micros(seconds * 1_000_000).unwrap()
}

/// The event of a draft that holds every rule, received at `received_at`.
pub(crate) fn event(draft: EventDraft<'_>, received_at: Timestamp) -> EnrichedEvent {
    let mut reception = Reception::at(received_at);
    reception.limits.max_event_age_days = 0;
    reception.limits.max_event_future_seconds = u32::MAX;
    let mut faults = Vec::new();
    let valid = draft.check("", &reception, || EventId::lookup("made by the server"), &mut faults);
    let enrichment = Enrichment { client_ip: Some("192.0.2.7".into()), ..Enrichment::default() };
    EnrichedEvent::new(
        valid.unwrap_or_else(|| panic!("{faults:?}")),
        EnrichmentJson::of(&enrichment),
    )
}

/// A draft with the members that are required.
pub(crate) fn draft(event_id: &str) -> EventDraft<'_> {
    EventDraft {
        event_id: Some(event_id.into()),
        event_name: Some("e".into()),
        user_id: Some("u".into()),
        ..EventDraft::default()
    }
}

/// Runs `work` in `count` threads that begin together, and returns what each made, in order.
pub(crate) fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = std::sync::Barrier::new(count);
    let run = |index| {
        barrier.wait();
        work(index)
    };
    let run = &run;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|index| scope.spawn(move || run(index))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

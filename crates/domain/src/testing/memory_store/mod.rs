//! A store in memory for tests. It passes the contract suite of the databases, and a test can make
//! it wait or fail.

mod audit;
mod catalog;
mod counts;
mod feed;
mod housekeeping;
mod rejections;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Gate;
use crate::api_key::ApiKey;
use crate::clock::Timestamp;
use crate::event::{EnrichedEvent, StoredEvent};
use crate::ids::{EventId, EventKey, Owner, TenantId, WorkspaceId};
use crate::limits::{LimitOverrides, Month};
use crate::payload::JsonObject;
use crate::store::{
    Actor, AuditRecord, Backend, CatalogChange, Deletion, EventPage, EventQuery, EventWriter,
    FeedCursor, LockWait, PageBuilder, Privileges, RejectedEvent, RejectionCount, RejectionGroup,
    RemovalCounts, SchemaState, Store, StoreError, Submission,
};
use crate::tenant::{Tenant, Workspace};
use crate::verdict::Outcome;

/// A store in memory. Everything is lost with it.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<MemoryState>,
    /// Every call of `append` passes here; open unless a test closes it.
    pub gate: Gate,
    /// Every call of `usage` and `sum_counts` passes here; open unless a test closes it.
    pub counts_gate: Gate,
    /// Every call of `ping` passes here; open unless a test closes it.
    pub ping_gate: Gate,
    /// Every call of `event` and `events` passes here; open unless a test closes it.
    pub reads_gate: Gate,
    /// Every call of `record_rejections` passes here; open unless a test closes it.
    pub rejections_gate: Gate,
    unavailable: AtomicBool,
    reads_time_out: AtomicBool,
    panics_in_sum: AtomicBool,
    refused_name: Mutex<Option<String>>,
    group_sizes: Mutex<Vec<usize>>,
    privileges: Mutex<Privileges>,
    reads: AtomicUsize,
}

/// The key of a count.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct CountKey {
    owner: Owner,
    event_name: String,
    hour: Timestamp,
}

#[derive(Debug, Default)]
struct MemoryState {
    /// `None`: the event was erased, and only its key is left.
    events: HashMap<(TenantId, EventKey), Option<StoredEvent>>,
    /// The workspace of each key, also of an erased event. Those of removed keys stay.
    holders: HashMap<(TenantId, EventKey), WorkspaceId>,
    /// Deletions that have begun, and since when.
    deleting: HashMap<Deletion, Timestamp>,
    /// Rows removed by deletions so far.
    deletions: HashMap<Deletion, RemovalCounts>,
    /// Time of receipt of events removed for their age.
    expired: HashMap<(TenantId, EventKey), Timestamp>,
    /// In the order of storing; the index is the position in the feed.
    feed: Vec<(Owner, EventKey)>,
    consumers: HashMap<(Owner, String), FeedCursor>,
    rejected: Vec<RejectedEvent>,
    rejection_counts: BTreeMap<RejectionGroup, RejectionCount>,
    /// The newest ids. Those of deleted tenants and workspaces are not given again.
    last_tenant: i64,
    last_workspace: i64,
    tenants: Vec<Tenant>,
    workspaces: Vec<Workspace>,
    keys: Vec<ApiKey>,
    limits: HashMap<TenantId, LimitOverrides>,
    counts: BTreeMap<CountKey, u64>,
    /// Events stored by tenant and month. Deleting a workspace does not lower it.
    usage: BTreeMap<(TenantId, Month), u64>,
    listeners: Vec<Sender<CatalogChange>>,
    actor: Option<Actor>,
    audit: Vec<AuditRecord>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            gate: Gate::opened(),
            counts_gate: Gate::opened(),
            ping_gate: Gate::opened(),
            reads_gate: Gate::opened(),
            rejections_gate: Gate::opened(),
            unavailable: AtomicBool::default(),
            reads_time_out: AtomicBool::default(),
            panics_in_sum: AtomicBool::default(),
            refused_name: Mutex::default(),
            group_sizes: Mutex::default(),
            privileges: Mutex::default(),
            reads: AtomicUsize::default(),
        }
    }
}

impl MemoryStore {
    /// Makes every call fail like one to an unreachable database, or ends that.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.unavailable.store(unavailable, Ordering::SeqCst);
    }

    /// Makes the next call of `sum_counts` panic, as a defect would.
    pub fn panic_in_next_sum(&self) {
        self.panics_in_sum.store(true, Ordering::SeqCst);
    }

    /// Makes every read of events run into its time limit, or ends that.
    pub fn set_reads_time_out(&self, time_out: bool) {
        self.reads_time_out.store(time_out, Ordering::SeqCst);
    }

    /// Refuses every group, and every batch of rejections, with an event of this name, as a database
    /// refuses data it cannot store.
    pub fn refuse_event_name(&self, event_name: &str) {
        *lock(&self.refused_name) = Some(event_name.to_owned());
    }

    /// Sets the privileges that the store reports.
    pub fn set_privileges(&self, privileges: Privileges) {
        *lock(&self.privileges) = privileges;
    }

    /// Submissions in each call of `append`, failed ones included, in order.
    #[must_use]
    pub fn group_sizes(&self) -> Vec<usize> {
        lock(&self.group_sizes).clone()
    }

    /// Number of key look-ups.
    #[must_use]
    pub fn key_reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// Number of stored events.
    #[must_use]
    pub fn event_count(&self) -> usize {
        lock(&self.state).events.values().flatten().count()
    }

    fn available(&self) -> Result<MutexGuard<'_, MemoryState>, StoreError> {
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the test took the database away".into()));
        }
        Ok(lock(&self.state))
    }

    fn readable(&self) -> Result<MutexGuard<'_, MemoryState>, StoreError> {
        // Before the lock, so that other calls go on while a test holds this one.
        self.reads_gate.pass();
        if self.reads_time_out.load(Ordering::SeqCst) {
            return Err(StoreError::TimedOut("the test lets reads time out".into()));
        }
        self.available()
    }

    fn refuse(&self, group: &[Submission]) -> Result<(), StoreError> {
        let events = group.iter().flat_map(|submission| &submission.events);
        self.refuse_names(events.map(|event| &*event.parts().event_name))
    }

    fn refuse_names<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
        let refused = lock(&self.refused_name).clone();
        if names.any(|name| Some(name) == refused.as_deref()) {
            return Err(StoreError::Refused("the test refuses this name".into()));
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryState {
    fn store(&mut self, submission: &Submission, event: &EnrichedEvent) -> Outcome {
        let Submission { owner, received_at, .. } = *submission;
        let key = (owner.tenant_id, event.key());
        if self.events.contains_key(&key) {
            let holder = self.holders.get(&key).copied();
            return Outcome::duplicate(owner.workspace_id, holder.unwrap_or(owner.workspace_id));
        }
        let parts = event.parts().clone();
        let enrichment = JsonObject::from_store(event.enrichment().as_str());
        self.events.insert(key, Some(StoredEvent { owner, received_at, parts, enrichment }));
        self.holders.insert(key, owner.workspace_id);
        self.feed.push((owner, event.key()));
        let counted = CountKey {
            owner,
            event_name: event.parts().event_name.to_string(),
            hour: received_at.start_of_hour(),
        };
        *self.counts.entry(counted).or_default() += 1;
        *self.usage.entry((owner.tenant_id, Month::of(received_at))).or_default() += 1;
        Outcome::Accepted
    }
}

impl EventWriter for MemoryStore {
    fn append(&self, group: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        // Before the lock, so that other calls go on while a test holds this one.
        self.gate.pass();
        lock(&self.group_sizes).push(group.len());
        let mut state = self.available()?;
        // Before the first event is stored: a refused group leaves nothing, as after a rollback.
        self.refuse(group)?;
        let mut outcomes = Vec::with_capacity(group.len());
        for submission in group {
            let events = submission.events.iter();
            outcomes.push(events.map(|event| state.store(submission, event)).collect());
        }
        Ok(outcomes)
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.ping_gate.pass();
        self.available().map(|_| ())
    }
}

impl Store for MemoryStore {
    fn backend(&self) -> Backend {
        Backend::Memory
    }

    fn schema_state(&self) -> Result<SchemaState, StoreError> {
        self.available().map(|_| SchemaState::Current)
    }

    fn privileges(&self) -> Result<Privileges, StoreError> {
        self.available().map(|_| lock(&self.privileges).clone())
    }

    fn migrate_reporting(
        &self,
        _report: &mut dyn FnMut(&LockWait),
    ) -> Result<Vec<String>, StoreError> {
        self.available().map(|_| Vec::new())
    }

    fn revert_reporting(
        &self,
        _report: &mut dyn FnMut(&LockWait),
    ) -> Result<Option<String>, StoreError> {
        self.available().map(|_| None)
    }

    fn event(&self, owner: Owner, event_id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        let state = self.readable()?;
        let event =
            state.events.get(&(owner.tenant_id, EventKey::of(event_id))).and_then(Option::as_ref);
        // Two ids may share a hashed key, and the key has no workspace.
        Ok(event.filter(|event| event.owner == owner && event.parts.event_id == *event_id).cloned())
    }

    fn events(&self, owner: Owner, query: &EventQuery) -> Result<EventPage, StoreError> {
        let state = self.readable()?;
        let sort = query.sort;
        let mut found: Vec<_> = state
            .events
            .values()
            .flatten()
            .filter(|event| event.owner == owner && query.matches(event))
            .map(|event| (sort.position_of(event), event))
            .filter(|(position, _)| {
                query.after.is_none_or(|after| sort.compare(&after, position).is_lt())
            })
            .collect();
        found.sort_unstable_by(|(one, _), (other, _)| sort.compare(one, other));
        let mut page = PageBuilder::sorted(query.limit, sort);
        for (_, event) in found {
            if !page.push(event.clone()) {
                break;
            }
        }
        Ok(page.finish())
    }
}

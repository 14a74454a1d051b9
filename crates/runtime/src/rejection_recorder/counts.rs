//! Counts of rejections that are not yet written, by group.
//!
//! Clients choose event names and the names in pointers. A tenant gets a limited number of groups an
//! hour; further ones are counted together, as [`OTHERS`].

use std::borrow::Cow;
use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::time::Instant;

use mercurio_domain::store::{RejectionCount, RejectionGroup, RejectionKind};
use mercurio_domain::{Owner, TenantId, Timestamp};
use mercurio_protocols::without_keys;
use uuid::Uuid;

use super::bounds::{Buckets, RejectionBounds};

/// Maximum distinct groups of a tenant in an hour, of each server.
pub(super) const MAX_TENANT_GROUPS: usize = 1_000;
/// Maximum groups in memory, of all tenants. Above it, new ones are counted as [`OTHERS`]; above twice as
/// many, counts are dropped.
const MAX_GROUPS: usize = 20_000;
/// Maximum groups of a transaction.
const MAX_BATCH_GROUPS: usize = 1_000;
/// Number of tenants at which those of earlier hours are forgotten.
const SWEEP_ABOVE: usize = 1_000;
/// Maximum characters of a pointer or a name of a group, more than those of a valid name.
const MAX_CHARS: usize = 200;

/// Pointer and name of the groups without room. A pointer is empty or begins with a slash.
const OTHERS: &str = "*";

/// A group whose texts are borrowed from an event.
#[derive(Debug, Clone, Hash)]
pub(super) struct GroupRef<'a> {
    pub(super) owner: Owner,
    pub(super) hour: Timestamp,
    pub(super) kind: RejectionKind,
    pub(super) code: &'a str,
    pointer: Cow<'a, str>,
    event_name: Cow<'a, str>,
}

impl<'a> GroupRef<'a> {
    pub(super) fn new(
        owner: Owner,
        received_at: Timestamp,
        kind: RejectionKind,
        code: &'a str,
    ) -> Self {
        let hour = received_at.start_of_hour();
        Self { owner, hour, kind, code, pointer: "".into(), event_name: "".into() }
    }

    /// Adds the texts of an event.
    pub(super) fn of(self, pointer: &'a str, event_name: &'a str) -> Self {
        Self { pointer: group_text(pointer), event_name: group_text(event_name), ..self }
    }

    /// The group of all further groups with this code.
    fn others(&self) -> GroupRef<'a> {
        let Self { owner, hour, kind, code, .. } = *self;
        Self { owner, hour, kind, code, pointer: OTHERS.into(), event_name: OTHERS.into() }
    }

    /// Whether a client chose its texts.
    fn has_texts(&self) -> bool {
        self.pointer != OTHERS && !(self.pointer.is_empty() && self.event_name.is_empty())
    }

    fn to_group(&self) -> RejectionGroup {
        RejectionGroup {
            owner: self.owner,
            hour: self.hour,
            kind: self.kind,
            code: self.code.to_owned(),
            pointer: self.pointer.clone().into_owned(),
            event_name: self.event_name.clone().into_owned(),
        }
    }
}

/// Returns the text of a group: short, and without keys.
fn group_text(text: &str) -> Cow<'_, str> {
    cut(without_keys(text), MAX_CHARS)
}

/// Returns the beginning of a text: at most `max_chars` characters.
#[must_use]
pub fn cut(text: Cow<'_, str>, max_chars: usize) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(max_chars) else { return text };
    match text {
        Cow::Borrowed(text) => text[..end].into(),
        Cow::Owned(mut text) => {
            text.truncate(end);
            text.into()
        }
    }
}

/// A count that was added to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    /// Identifies the group until the counts are taken.
    key: u64,
    /// Whether the group is the first of its kind in this hour.
    pub(super) is_first: bool,
}

#[derive(Debug)]
struct TenantCounts {
    buckets: Buckets,
    /// The newest hour.
    hour: Timestamp,
    /// Groups of that hour, also those already written.
    known: HashSet<u64>,
}

/// The counts of all tenants.
#[derive(Debug, Default)]
pub(super) struct Counts {
    // A hash with a random key: a client cannot choose names that collide.
    hasher: RandomState,
    tenants: HashMap<TenantId, TenantCounts>,
    pending: HashMap<u64, (RejectionGroup, RejectionCount)>,
}

impl Counts {
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes tokens of the tenant for an event.
    pub(super) fn take_tokens(
        &mut self,
        bounds: &RejectionBounds,
        group: &GroupRef<'_>,
        bytes: usize,
        is_first: bool,
        now: Instant,
    ) -> bool {
        self.tenant(bounds, group, now).buckets.take(bounds, bytes, is_first, now)
    }

    /// Counts one event or request. `None` if there is no room for its group.
    pub(super) fn add(
        &mut self,
        bounds: &RejectionBounds,
        group: &GroupRef<'_>,
        now: Instant,
    ) -> Option<Counted> {
        let key = self.hasher.hash_one(group);
        let is_full = self.pending.len() >= MAX_GROUPS;
        let tenant = self.tenant(bounds, group, now);
        let is_first = !tenant.known.contains(&key);
        let is_over = is_first && (is_full || tenant.known.len() >= MAX_TENANT_GROUPS);
        if is_over && group.has_texts() {
            return self.add(bounds, &group.others(), now);
        }
        // Without texts, the number of groups is that of the codes.
        if is_first && group.has_texts() {
            tenant.known.insert(key);
        }
        self.add_pending(key, group)?;
        Some(Counted { key, is_first: is_first && group.has_texts() })
    }

    fn add_pending(&mut self, key: u64, group: &GroupRef<'_>) -> Option<()> {
        let is_full = self.pending.len() >= 2 * MAX_GROUPS;
        let count = match self.pending.entry(key) {
            Entry::Occupied(count) => count.into_mut(),
            Entry::Vacant(_) if is_full => return None,
            Entry::Vacant(entry) => entry.insert((group.to_group(), RejectionCount::default())),
        };
        count.1.rejected += 1;
        Some(())
    }

    /// Notes a kept event as an example, unless its group has one.
    pub(super) fn add_example(&mut self, counted: Counted, id: Uuid) {
        if let Some((_, count)) = self.pending.get_mut(&counted.key) {
            count.example.get_or_insert(id);
        }
    }

    fn tenant(
        &mut self,
        bounds: &RejectionBounds,
        group: &GroupRef<'_>,
        now: Instant,
    ) -> &mut TenantCounts {
        let GroupRef { owner, hour, .. } = *group;
        if self.tenants.len() >= SWEEP_ABOVE && !self.tenants.contains_key(&owner.tenant_id) {
            self.tenants.retain(|_, tenant| tenant.hour >= hour);
        }
        let tenant = self.tenants.entry(owner.tenant_id).or_insert_with(|| TenantCounts {
            buckets: Buckets::full(bounds, now),
            hour,
            known: HashSet::new(),
        });
        if tenant.hour < hour {
            tenant.hour = hour;
            tenant.known = HashSet::new();
        }
        tenant
    }

    /// Takes the counts of a transaction.
    pub(super) fn take(&mut self) -> Vec<(RejectionGroup, RejectionCount)> {
        if self.pending.len() <= MAX_BATCH_GROUPS {
            return std::mem::take(&mut self.pending).into_values().collect();
        }
        let keys: Vec<u64> = self.pending.keys().copied().take(MAX_BATCH_GROUPS).collect();
        keys.iter().filter_map(|key| self.pending.remove(key)).collect()
    }

    /// Returns counts that were not written. Their examples were lost. Returns the number of events
    /// and requests without room.
    pub(super) fn give_back(&mut self, counts: Vec<(RejectionGroup, RejectionCount)>) -> u64 {
        let mut lost = 0;
        for (group, RejectionCount { rejected, .. }) in counts {
            let same = GroupRef {
                owner: group.owner,
                hour: group.hour,
                kind: group.kind,
                code: &group.code,
                pointer: group.pointer.as_str().into(),
                event_name: group.event_name.as_str().into(),
            };
            let key = self.hasher.hash_one(&same);
            let is_full = self.pending.len() >= 2 * MAX_GROUPS;
            match self.pending.entry(key) {
                Entry::Occupied(mut count) => count.get_mut().1.rejected += rejected,
                Entry::Vacant(_) if is_full => lost += rejected,
                Entry::Vacant(entry) => {
                    entry.insert((group, RejectionCount { rejected, example: None }));
                }
            }
        }
        lost
    }
}

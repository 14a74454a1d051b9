//! Bulk work in memory. A step removes two events, so that tests need several steps.

use super::{MemoryState, MemoryStore};
use crate::clock::Timestamp;
use crate::event::StoredEvent;
use crate::ids::{EventKey, Owner, TenantId};
use crate::store::{
    AuditEntry, CatalogChange, DeletedRows, Deletion, Housekeeping, Lease, LeaseKind, Person,
    Removal, RemovalCounts, RemovalCursor, Removed, StoreError,
};
use crate::tenant::{Name, TenantStatus};

const STEP: usize = 2;

fn is_of(event: &StoredEvent, person: &Person) -> bool {
    match person {
        Person::User(id) => event.parts.user_id.as_deref() == Some(id),
        Person::Anonymous(id) => event.parts.anonymous_id.as_deref() == Some(id),
    }
}

impl MemoryState {
    /// Whether the deletion covers a key. An erased event has left its workspace.
    fn is_covered(&self, deletion: Deletion, tenant_id: TenantId, key: EventKey) -> bool {
        let holder = self.holders.get(&(tenant_id, key));
        tenant_id == deletion.tenant_id()
            && deletion.workspace_id().is_none_or(|id| holder == Some(&id))
    }

    fn remove_all(&mut self, deletion: Deletion) -> Removed {
        let covered = self.events.keys().filter(|key| self.is_covered(deletion, key.0, key.1));
        let keys: Vec<_> = covered.take(STEP).copied().collect();
        let mut removed = Removed::default();
        for key in &keys {
            removed.keys += 1;
            removed.events += u64::from(self.events.remove(key).flatten().is_some());
        }
        // A full step may not be the last; the removed rows are gone, so the cursor needs no
        // position.
        removed.rejections = self.delete_rejections(deletion);
        removed.next = (keys.len() == STEP).then(|| RemovalCursor(String::new()));
        removed
    }

    /// Removes everything old in one step.
    fn expire(
        &mut self,
        tenant_id: Option<TenantId>,
        before: Timestamp,
        keys_before: Option<Timestamp>,
    ) -> Removed {
        let mut removed = Removed::default();
        let is_meant = |of: TenantId| tenant_id.is_none_or(|tenant_id| tenant_id == of);
        let old =
            self.events.iter().filter(|((of, _), _)| is_meant(*of)).filter_map(|(key, event)| {
                event
                    .as_ref()
                    .filter(|event| event.received_at < before)
                    .map(|event| (*key, event.received_at))
            });
        for (key, received_at) in old.collect::<Vec<_>>() {
            // The key stays without its event, so a resent event is a duplicate.
            removed.events += u64::from(self.events.insert(key, None).flatten().is_some());
            self.expired.insert(key, received_at);
        }
        let is_gone = |at: Timestamp| keys_before.is_some_and(|before| at < before);
        let old = self.expired.iter().filter(|(key, at)| is_meant(key.0) && is_gone(**at));
        for key in old.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.expired.remove(&key);
            self.events.remove(&key);
            removed.keys += 1;
        }
        removed
    }

    fn erase(&mut self, tenant_id: TenantId, person: &Person) -> Removed {
        // Erased events are `None` already and are not found again.
        let events = self.events.iter_mut().filter(|((of, _), event)| {
            *of == tenant_id && event.as_ref().is_some_and(|event| is_of(event, person))
        });
        let gone = events.take(STEP).filter_map(|(_, event)| event.take()).count();
        Removed {
            events: gone as u64,
            keys: 0,
            rejections: self.erase_rejections(tenant_id, person),
            next: (gone == STEP).then(|| RemovalCursor(String::new())),
        }
    }
}

impl MemoryState {
    fn count_removal(&self, which: &Removal) -> RemovalCounts {
        let stored = self.events.iter().filter_map(|(key, event)| Some((key, event.as_ref()?)));
        let of_tenant = |id: TenantId| which.tenant_id().is_none_or(|tenant_id| tenant_id == id);
        match which {
            Removal::All(deletion) => RemovalCounts {
                events: stored.filter(|(key, _)| self.is_covered(*deletion, key.0, key.1)).count()
                    as u64,
                keys: self
                    .events
                    .keys()
                    .filter(|key| self.is_covered(*deletion, key.0, key.1))
                    .count() as u64,
                rejections: self.count_rejections_in(*deletion),
            },
            Removal::Person { tenant_id, person } => {
                let of_person = |event: &StoredEvent| is_of(event, person);
                let events = stored.filter(|(key, event)| of_tenant(key.0) && of_person(event));
                RemovalCounts {
                    events: events.count() as u64,
                    keys: 0,
                    rejections: self.count_rejections_of(*tenant_id, person),
                }
            }
            Removal::Received { before, .. } => {
                let old: Vec<_> = stored
                    .filter(|(key, event)| of_tenant(key.0) && event.received_at < *before)
                    .map(|(_, event)| event.received_at)
                    .collect();
                let expired = self.expired.iter().filter(|(key, _)| of_tenant(key.0));
                let received = expired.map(|(_, at)| at).chain(&old);
                let keys_before = which.keys_before();
                let keys = received.filter(|at| keys_before.is_some_and(|before| **at < before));
                RemovalCounts { events: old.len() as u64, keys: keys.count() as u64, rejections: 0 }
            }
        }
    }

    /// Marks the tenant or workspace, and returns its name.
    fn mark(&mut self, deletion: Deletion) -> Option<Name> {
        match deletion {
            Deletion::Tenant(id) => {
                let tenant = self.tenants.iter_mut().find(|tenant| tenant.id == id)?;
                tenant.status = TenantStatus::Deleting;
                Some(tenant.name.clone())
            }
            Deletion::Workspace(Owner { tenant_id, workspace_id }) => {
                let mut of_tenant =
                    self.workspaces.iter_mut().filter(|known| known.tenant_id == tenant_id);
                let workspace = of_tenant.find(|known| known.id == workspace_id)?;
                workspace.is_deleting = true;
                Some(workspace.name.clone())
            }
        }
    }
}

/// Always free: a memory store belongs to one process.
struct MemoryLease;

impl Lease for MemoryLease {
    fn hold(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}

impl Housekeeping for MemoryStore {
    fn lease(&self, _kind: LeaseKind) -> Result<Option<Box<dyn Lease>>, StoreError> {
        drop(self.available()?);
        Ok(Some(Box::new(MemoryLease)))
    }

    fn count_events(&self, owner: Owner) -> Result<u64, StoreError> {
        let state = self.available()?;
        Ok(state.events.values().flatten().filter(|event| event.owner == owner).count() as u64)
    }

    fn count_removal(&self, which: &Removal) -> Result<RemovalCounts, StoreError> {
        Ok(self.available()?.count_removal(which))
    }

    fn begin_deletion(
        &self,
        deletion: Deletion,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut state = self.available()?;
        let Some(name) = state.mark(deletion) else { return Ok(None) };
        let since = *state.deleting.entry(deletion).or_insert(now);
        state.notify(&CatalogChange::Tenant(deletion.tenant_id()));
        state.audit(AuditEntry::deletion_begun(deletion, &name));
        Ok(Some(since))
    }

    fn remove_events(
        &self,
        which: &Removal,
        _removed_at: Timestamp,
        _from: Option<&RemovalCursor>,
    ) -> Result<Removed, StoreError> {
        let mut state = self.available()?;
        Ok(match which {
            Removal::All(deletion) => {
                let removed = state.remove_all(*deletion);
                let sum = state.deletions.entry(*deletion).or_default();
                sum.events += removed.events;
                sum.keys += removed.keys;
                sum.rejections += removed.rejections;
                removed
            }
            Removal::Person { tenant_id, person } => state.erase(*tenant_id, person),
            Removal::Received { tenant_id, before } => {
                state.expire(*tenant_id, *before, which.keys_before())
            }
        })
    }

    fn finish_deletion(&self, deletion: Deletion) -> Result<Option<DeletedRows>, StoreError> {
        let mut state = self.available()?;
        if state.deleting.remove(&deletion).is_none() {
            return Ok(None);
        }
        let (workspaces, keys) = (state.workspaces.len(), state.keys.len());
        state.workspaces.retain(|workspace| {
            !deletion.covers(Owner { tenant_id: workspace.tenant_id, workspace_id: workspace.id })
        });
        state.keys.retain(|key| !deletion.covers(key.owner));
        state.counts.retain(|counted, _| !deletion.covers(counted.owner));
        state.consumers.retain(|(owner, _), _| !deletion.covers(*owner));
        // Servers may have recorded some after the last step.
        let late = state.delete_rejections(deletion);
        if let Deletion::Tenant(tenant_id) = deletion {
            state.tenants.retain(|tenant| tenant.id != tenant_id);
            state.limits.remove(&tenant_id);
            state.usage.retain(|(of, _), _| *of != tenant_id);
            state.deleting.retain(|of, _| of.tenant_id() != tenant_id);
        }
        state.notify(&CatalogChange::Tenant(deletion.tenant_id()));
        let removed = state.deletions.remove(&deletion).unwrap_or_default();
        let rows = DeletedRows {
            events: removed.events,
            event_keys: removed.keys,
            rejections: removed.rejections + late,
            workspaces: (workspaces - state.workspaces.len()) as u64,
            api_keys: (keys - state.keys.len()) as u64,
        };
        state.audit(AuditEntry::deletion_done(deletion, &rows));
        Ok(Some(rows))
    }
}

//! Bulk work in memory. A step removes two events, so that tests need several steps.

use super::{MemoryState, MemoryStore};
use crate::clock::Timestamp;
use crate::event::StoredEvent;
use crate::ids::{EventKey, Owner, TenantId};
use crate::store::{
    AuditEntry, CatalogChange, Housekeeping, Lease, LeaseKind, Person, Position, Removal,
    RemovalCursor, Removed, StoreError, TenantRows,
};
use crate::tenant::TenantStatus;

const STEP: usize = 2;

fn is_of(event: &StoredEvent, person: &Person) -> bool {
    match person {
        Person::User(id) => event.parts.user_id.as_deref() == Some(id),
        Person::Anonymous(id) => event.parts.anonymous_id.as_deref() == Some(id),
    }
}

impl MemoryState {
    fn forget(&mut self, owner: Owner, occurred_at: Timestamp, key: EventKey) {
        self.order.remove(&(owner, Position { occurred_at, key }));
    }

    fn remove_all(&mut self, tenant_id: TenantId) -> Removed {
        let keys: Vec<_> =
            self.events.keys().filter(|(of, _)| *of == tenant_id).take(STEP).copied().collect();
        let mut removed = Removed::default();
        for key in &keys {
            removed.keys += 1;
            if let Some(event) = self.events.remove(key).flatten() {
                removed.events += 1;
                self.forget(event.owner, event.parts.occurred_at, key.1);
            }
        }
        // A full step may not be the last; the removed rows are gone, so the cursor needs no
        // position.
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
            if let Some(event) = self.events.insert(key, None).flatten() {
                removed.events += 1;
                self.forget(event.owner, event.parts.occurred_at, key.1);
            }
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
        let gone: Vec<_> =
            events.take(STEP).filter_map(|((_, key), event)| Some((*key, event.take()?))).collect();
        for (key, event) in &gone {
            self.forget(event.owner, event.parts.occurred_at, *key);
        }
        Removed {
            events: gone.len() as u64,
            keys: 0,
            next: (gone.len() == STEP).then(|| RemovalCursor(String::new())),
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

    fn begin_deletion(
        &self,
        tenant_id: TenantId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut state = self.available()?;
        let Some(tenant) = state.tenants.iter_mut().find(|tenant| tenant.id == tenant_id) else {
            return Ok(None);
        };
        tenant.status = TenantStatus::Deleting;
        let entry = AuditEntry::deletion_begun(tenant);
        let since = *state.deleting.entry(tenant_id).or_insert(now);
        state.notify(&CatalogChange::Tenant(tenant_id));
        state.audit(entry);
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
            Removal::Tenant(tenant_id) => {
                let removed = state.remove_all(*tenant_id);
                let sum = state.deletions.entry(*tenant_id).or_default();
                *sum = (sum.0 + removed.events, sum.1 + removed.keys);
                removed
            }
            Removal::Person { tenant_id, person } => state.erase(*tenant_id, person),
            Removal::Received { tenant_id, before } => {
                state.expire(*tenant_id, *before, which.keys_before())
            }
        })
    }

    fn finish_deletion(&self, tenant_id: TenantId) -> Result<Option<TenantRows>, StoreError> {
        let mut state = self.available()?;
        if state.deleting.remove(&tenant_id).is_none() {
            return Ok(None);
        }
        let count = |before: usize, after: usize| (before - after) as u64;
        let (workspaces, keys) = (state.workspaces.len(), state.keys.len());
        state.workspaces.retain(|workspace| workspace.tenant_id != tenant_id);
        state.keys.retain(|key| key.owner.tenant_id != tenant_id);
        state.tenants.retain(|tenant| tenant.id != tenant_id);
        state.limits.remove(&tenant_id);
        state.counts.retain(|counted, _| counted.owner.tenant_id != tenant_id);
        state.notify(&CatalogChange::Tenant(tenant_id));
        let (workspaces, api_keys) =
            (count(workspaces, state.workspaces.len()), count(keys, state.keys.len()));
        let (events, event_keys) = state.deletions.remove(&tenant_id).unwrap_or_default();
        let rows = TenantRows { events, event_keys, workspaces, api_keys };
        state.audit(AuditEntry::tenant_deleted(tenant_id, &rows));
        Ok(Some(rows))
    }
}

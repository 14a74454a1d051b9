//! Rejections in memory.

use super::{MemoryState, MemoryStore};
use crate::clock::Timestamp;
use crate::ids::{Owner, TenantId};
use crate::limits::MAX_PAGE_BYTES;
use crate::store::{
    Deletion, ExpiredRejections, Person, RejectedEvent, RejectionBatch, RejectionCountQuery,
    RejectionPage, RejectionPageBuilder, RejectionQuery, RejectionTotal, Rejections, StoreError,
};

fn matches(query: &RejectionQuery, event: &RejectedEvent) -> bool {
    query.after.is_none_or(|after| event.position() < after)
        && query.from.is_none_or(|from| from <= event.received_at)
        && query.to.is_none_or(|to| event.received_at < to)
        && query.code.is_none_or(|code| event.errors.iter().any(|error| error.code == code))
        && (query.event_id.is_none() || query.event_id == event.event_id)
        && (query.event_name.is_none() || query.event_name == event.event_name)
}

impl MemoryState {
    /// Whether the workspace exists and is not being deleted.
    fn takes_rejections(&self, owner: Owner) -> bool {
        let mut workspaces = self.workspaces.iter();
        workspaces.any(|workspace| {
            (workspace.tenant_id, workspace.id) == (owner.tenant_id, owner.workspace_id)
        }) && !self.deleting.keys().any(|deletion| deletion.covers(owner))
    }

    /// Removes the matching events, and returns their number.
    fn remove_rejected(&mut self, is_meant: impl Fn(&RejectedEvent) -> bool) -> u64 {
        let before = self.rejected.len();
        self.rejected.retain(|event| !is_meant(event));
        (before - self.rejected.len()) as u64
    }

    pub(super) fn erase_rejections(&mut self, tenant_id: TenantId, person: &Person) -> u64 {
        self.remove_rejected(|event| event.owner.tenant_id == tenant_id && event.concerns(person))
    }

    pub(super) fn count_rejections_of(&self, tenant_id: TenantId, person: &Person) -> u64 {
        let of_tenant = self.rejected.iter().filter(|event| event.owner.tenant_id == tenant_id);
        of_tenant.filter(|event| event.concerns(person)).count() as u64
    }

    pub(super) fn delete_rejections(&mut self, deletion: Deletion) -> u64 {
        self.rejection_counts.retain(|group, _| !deletion.covers(group.owner));
        self.remove_rejected(|event| deletion.covers(event.owner))
    }

    pub(super) fn count_rejections_in(&self, deletion: Deletion) -> u64 {
        self.rejected.iter().filter(|event| deletion.covers(event.owner)).count() as u64
    }
}

impl Rejections for MemoryStore {
    fn record_rejections(&self, batch: &RejectionBatch) -> Result<(), StoreError> {
        self.rejections_gate.pass();
        self.refuse_names(batch.events.iter().filter_map(|event| event.event_name.as_deref()))?;
        let mut state = self.available()?;
        let RejectionBatch { mut events, mut counts } = batch.normalized();
        events.retain(|event| state.takes_rejections(event.owner));
        counts.retain(|(group, _)| state.takes_rejections(group.owner));
        let is_stored = |id| state.rejected.iter().any(|event| event.id == id);
        if events.iter().any(|event| is_stored(event.id)) {
            return Err(StoreError::Refused("a rejection is stored already".into()));
        }
        state.rejected.extend(events);
        for (group, count) in counts {
            let state = &mut *state;
            let sum = state.rejection_counts.entry(group).or_default();
            sum.rejected += count.rejected;
            let is_kept = state.rejected.iter().any(|event| Some(event.id) == sum.example);
            sum.example = sum.example.filter(|_| is_kept).or(count.example);
        }
        Ok(())
    }

    fn rejections(
        &self,
        owner: Owner,
        query: &RejectionQuery,
    ) -> Result<RejectionPage, StoreError> {
        let state = self.readable()?;
        let of_owner = state.rejected.iter().filter(|event| event.owner == owner);
        let mut found: Vec<_> = of_owner.filter(|event| matches(query, event)).collect();
        found.sort_by_key(|event| std::cmp::Reverse(event.position()));
        let mut page = RejectionPageBuilder::new(query.limit);
        for event in found {
            if !page.push(event.clone()) {
                break;
            }
        }
        Ok(page.finish())
    }

    fn rejection_totals(
        &self,
        owner: Owner,
        query: &RejectionCountQuery,
    ) -> Result<Vec<RejectionTotal>, StoreError> {
        let state = self.readable()?;
        let mut totals: Vec<RejectionTotal> = Vec::new();
        // In the order of hours.
        for (group, count) in &state.rejection_counts {
            if group.owner != owner || group.hour < query.from || group.hour >= query.to {
                continue;
            }
            let mut of_owner = state.rejected.iter().filter(|event| event.owner == owner);
            let example = of_owner.find(|event| Some(event.id) == count.example).cloned();
            let same = totals.iter_mut().find(|total| {
                (total.kind, &total.code, &total.pointer, &total.event_name)
                    == (group.kind, &group.code, &group.pointer, &group.event_name)
            });
            match same {
                Some(total) => {
                    total.rejected += count.rejected;
                    total.last_hour = group.hour;
                    total.example = example.or(total.example.take());
                }
                None => totals.push(RejectionTotal {
                    kind: group.kind,
                    code: group.code.clone(),
                    pointer: group.pointer.clone(),
                    event_name: group.event_name.clone(),
                    rejected: count.rejected,
                    last_hour: group.hour,
                    example,
                }),
            }
        }
        Ok(highest(totals, query.limit))
    }

    fn count_rejections(&self, owner: Option<Owner>, before: Timestamp) -> Result<u64, StoreError> {
        let state = self.available()?;
        let is_meant = |of: Owner| owner.is_none_or(|owner| owner == of);
        let found = state.rejected.iter().filter(|event| is_meant(event.owner));
        Ok(found.filter(|event| event.received_at < before).count() as u64)
    }

    fn expire_rejections(
        &self,
        owner: Option<Owner>,
        before: Timestamp,
    ) -> Result<ExpiredRejections, StoreError> {
        let mut state = self.available()?;
        let is_meant = |of: Owner| owner.is_none_or(|owner| owner == of);
        let events =
            state.remove_rejected(|event| is_meant(event.owner) && event.received_at < before);
        let counts = state.rejection_counts.len();
        state.rejection_counts.retain(|group, _| !is_meant(group.owner) || group.hour >= before);
        let counts = (counts - state.rejection_counts.len()) as u64;
        Ok(ExpiredRejections { events, counts, has_more: false })
    }
}

/// The highest `limit` totals of each kind, with examples up to [`MAX_PAGE_BYTES`].
fn highest(mut totals: Vec<RejectionTotal>, limit: usize) -> Vec<RejectionTotal> {
    totals.sort_by(|one, other| {
        let (a, b) = (one, other);
        (a.kind, b.rejected, &a.code, &a.pointer, &a.event_name).cmp(&(
            b.kind,
            a.rejected,
            &b.code,
            &b.pointer,
            &b.event_name,
        ))
    });
    let (mut kept, mut bytes) = (Vec::<RejectionTotal>::new(), 0);
    for mut total in totals {
        if kept.iter().filter(|kept| kept.kind == total.kind).count() == limit {
            continue;
        }
        let is_full = bytes > MAX_PAGE_BYTES;
        total.example = total.example.filter(|_| !is_full);
        bytes += total.example.as_ref().map_or(0, RejectedEvent::size_bytes);
        kept.push(total);
    }
    kept
}

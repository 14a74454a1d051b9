//! Counts in memory, added as events are stored: there is no log to sum.

use std::sync::atomic::Ordering;

use super::MemoryStore;
use crate::ids::TenantId;
use crate::limits::Month;
use crate::store::{CountQuery, EventCount, EventCounts, StoreError};

impl EventCounts for MemoryStore {
    fn usage(&self, tenants: &[TenantId], month: Month) -> Result<Vec<u64>, StoreError> {
        self.counts_gate.pass();
        let state = self.available()?;
        let mut usage = Vec::with_capacity(tenants.len());
        for tenant_id in tenants {
            usage.push(state.usage.get(&(*tenant_id, month)).copied().unwrap_or(0));
        }
        Ok(usage)
    }

    fn event_counts(&self, query: &CountQuery) -> Result<Vec<EventCount>, StoreError> {
        let state = self.available()?;
        let selected = state.counts.iter().filter(|(counted, _)| {
            counted.owner == query.owner
                && query.event_name.as_ref().is_none_or(|name| *name == counted.event_name)
                && (query.from..query.to).contains(&counted.hour)
        });
        let counts = selected.map(|(counted, accepted)| EventCount {
            event_name: counted.event_name.clone(),
            hour: counted.hour,
            accepted: *accepted,
        });
        // The map is sorted by owner, name and hour, as the contract requires.
        Ok(counts.collect())
    }

    fn sum_counts(&self) -> Result<u64, StoreError> {
        self.counts_gate.pass();
        assert!(!self.panics_in_sum.swap(false, Ordering::SeqCst), "the test's own panic");
        self.available().map(|_| 0)
    }
}

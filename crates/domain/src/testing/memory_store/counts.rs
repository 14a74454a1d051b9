//! Counts in memory, added as events are stored: there is no log to sum.

use super::MemoryStore;
use crate::clock::Timestamp;
use crate::ids::{Owner, TenantId};
use crate::limits::Month;
use crate::store::{CountQuery, EventCount, EventCounts, StoreError};

/// The key of a count.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counted {
    pub(super) owner: Owner,
    pub(super) event_name: String,
    pub(super) hour: Timestamp,
}

impl EventCounts for MemoryStore {
    fn usage(&self, tenants: &[TenantId], month: Month) -> Result<Vec<u64>, StoreError> {
        self.counts_gate.pass();
        let state = self.available()?;
        let mut usage = Vec::with_capacity(tenants.len());
        for tenant_id in tenants {
            let of_month = state.counts.iter().filter(|(counted, _)| {
                counted.owner.tenant_id == *tenant_id && Month::of(counted.hour) == month
            });
            usage.push(of_month.map(|(_, accepted)| accepted).sum());
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
        let count = |(counted, accepted): (&Counted, &u64)| EventCount {
            event_name: counted.event_name.clone(),
            hour: counted.hour,
            accepted: *accepted,
        };
        // The map is sorted by owner, name and hour, as the contract requires.
        Ok(selected.map(count).collect())
    }

    fn sum_counts(&self) -> Result<u64, StoreError> {
        self.counts_gate.pass();
        self.available().map(|_| 0)
    }
}

//! The counts of a group: its stored events by hour of receipt, workspace and event name.

use std::collections::BTreeMap;

use mercurio_domain::store::EventCount;
use mercurio_domain::{Owner, TenantId, Timestamp};

use crate::rows::{Micros, timestamp};
use crate::verdicts::Candidate;

/// Workspace and event name of a count. Sorted like the primary key of `event_counts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CountKey<'a> {
    pub(crate) owner: Owner,
    pub(crate) event_name: &'a str,
}

/// Stored events by hour, then by workspace and name. Nearly always of one hour.
pub(crate) type HourlyCounts<'a> = BTreeMap<Timestamp, BTreeMap<CountKey<'a>, i64>>;

/// Counts the stored events of a group.
pub(crate) fn of_stored<'a>(stored: &[Candidate<'a>]) -> HourlyCounts<'a> {
    let mut hourly = HourlyCounts::new();
    for row in stored {
        let key = CountKey { owner: row.owner, event_name: &row.event.parts().event_name };
        let counts = hourly.entry(row.received_at.start_of_hour()).or_default();
        *counts.entry(key).or_default() += 1;
    }
    hourly
}

/// A row of a tenant and a number of events.
#[derive(Debug, diesel::Queryable)]
pub(crate) struct UsageRow {
    pub(crate) tenant_id: i64,
    pub(crate) events: i64,
}

/// Arranges usage in the order of `tenants`. A tenant without a row has stored nothing.
pub(crate) fn in_order(tenants: &[TenantId], rows: &[UsageRow]) -> Vec<u64> {
    let by_tenant: BTreeMap<i64, i64> =
        rows.iter().map(|row| (row.tenant_id, row.events)).collect();
    let events = |tenant_id: &TenantId| by_tenant.get(&tenant_id.0).copied().unwrap_or(0);
    tenants.iter().map(|tenant_id| events(tenant_id).unsigned_abs()).collect()
}

/// A row of event name, hour and count.
#[derive(Debug, diesel::Queryable)]
pub(crate) struct CountRow {
    event_name: String,
    hour: Micros,
    accepted: i64,
}

impl CountRow {
    pub(crate) fn into_count(self) -> EventCount {
        EventCount {
            event_name: self.event_name,
            hour: timestamp(self.hour),
            accepted: self.accepted.unsigned_abs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use mercurio_domain::store::Submission;
    use mercurio_domain::testing::{at, submission};
    use mercurio_domain::{TenantId, WorkspaceId};

    use super::*;
    use crate::verdicts::Candidates;

    #[test]
    fn events_are_counted_by_workspace_name_and_hour_of_receipt() {
        let owner = |tenant| Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(1) };
        let [early, late] = [at("2026-11-22T10:59:59Z"), at("2026-11-22T11:00:00Z")];
        let group: [Submission; 3] = [
            submission(owner(2), early, &["a", "b"]),
            submission(owner(2), late, &["c"]),
            submission(owner(1), late, &["a"]),
        ];
        let candidates = Candidates::of(&group);
        let hourly = of_stored(candidates.rows());
        let mut found = Vec::new();
        for (hour, counts) in hourly {
            for (key, count) in counts {
                assert_eq!(key.event_name, "e");
                found.push((hour, key.owner.tenant_id.0, count));
            }
        }
        assert_eq!(found, [(early.start_of_hour(), 2, 2), (late, 1, 1), (late, 2, 1)]);
    }
}

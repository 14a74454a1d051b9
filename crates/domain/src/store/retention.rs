//! Retention: computes the removals that are due.

use super::Removal;
use crate::clock::Timestamp;
use crate::ids::TenantId;

const DAY_MICROS: i64 = 86_400_000_000;

/// The retention of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantRetention {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Days its events are kept; 0 keeps them forever.
    pub days: u32,
}

/// The removals due at `now`, given the retention of every tenant.
///
/// Whole UTC days by time of receipt are counted, so an event stays at least that many days. The
/// first removal covers all tenants up to the longest retention, because PostgreSQL can drop whole
/// partitions for it. Then follow the tenants with a shorter one.
#[must_use]
pub fn due_removals(tenants: &[TenantRetention], now: Timestamp) -> Vec<Removal> {
    // Rounds down, so an event of today never counts as a day old.
    let midnight = now.as_micros() - now.as_micros().rem_euclid(DAY_MICROS);
    // One tenant keeping its events forever forbids dropping partitions.
    let keeps_all = tenants.iter().any(|tenant| tenant.days == 0);
    let longest = tenants.iter().map(|tenant| tenant.days).max().filter(|_| !keeps_all);
    let mut removals = Vec::new();
    if let Some(before) = longest.and_then(|days| days_before(midnight, days)) {
        removals.push(Removal::Received { tenant_id: None, before });
    }
    for TenantRetention { tenant_id, days } in tenants {
        // The removal for all tenants covers those with the longest retention.
        if *days == 0 || Some(*days) == longest {
            continue;
        }
        if let Some(before) = days_before(midnight, *days) {
            removals.push(Removal::Received { tenant_id: Some(*tenant_id), before });
        }
    }
    removals
}

/// Rejections received before this time have expired at `now`, if they are kept for `days` days.
///
/// Whole UTC days are counted as for events, so that PostgreSQL can drop whole partitions. With 0
/// days, all until `now` have expired. `None` if the time is out of range: nothing is that old.
#[must_use]
pub fn rejections_expire_before(days: u32, now: Timestamp) -> Option<Timestamp> {
    if days == 0 {
        return Some(now);
    }
    days_before(now.as_micros() - now.as_micros().rem_euclid(DAY_MICROS), days)
}

/// `None` if the time is out of range.
fn days_before(midnight: i64, days: u32) -> Option<Timestamp> {
    Timestamp::from_micros(midnight.checked_sub(i64::from(days).checked_mul(DAY_MICROS)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(days: &[u32], expected: &[(Option<i64>, &str)]) {
        let tenants = (1..).map(TenantId).zip(days);
        let tenants: Vec<_> =
            tenants.map(|(tenant_id, days)| TenantRetention { tenant_id, days: *days }).collect();
        let mut removals = Vec::new();
        for (id, before) in expected {
            let before = Timestamp::parse(before).unwrap();
            removals.push(Removal::Received { tenant_id: id.map(TenantId), before });
        }
        // Not midnight, so that the rounding shows.
        let now = Timestamp::parse("2026-11-24T09:30:00Z").unwrap();
        assert_eq!(due_removals(&tenants, now), removals, "{days:?}");
    }

    #[test]
    fn removals_cover_all_tenants_first_then_shorter_retentions() {
        check(&[], &[]);
        check(&[0, 0], &[]);
        check(&[1], &[(None, "2026-11-23T00:00:00Z")]);
        check(&[30, 30], &[(None, "2026-10-25T00:00:00Z")]);
        check(&[30, 10], &[(None, "2026-10-25T00:00:00Z"), (Some(2), "2026-11-14T00:00:00Z")]);
        check(&[0, 10], &[(Some(2), "2026-11-14T00:00:00Z")]);
        // A hundred years of 365 days, the maximum of the setting.
        check(&[36_500], &[(None, "1926-12-19T00:00:00Z")]);
        // Beyond the range of a timestamp: nothing is that old.
        check(&[u32::MAX], &[]);
    }

    #[test]
    fn rejections_expire_by_whole_days_and_with_none_at_once() {
        let now = Timestamp::parse("2026-11-24T09:30:00Z").unwrap();
        let before = |days| rejections_expire_before(days, now).map(|time| time.to_string());
        assert_eq!(before(0), Some(now.to_string()));
        assert_eq!(before(1).as_deref(), Some("2026-11-23T00:00:00.000000Z"));
        assert_eq!(before(7).as_deref(), Some("2026-11-17T00:00:00.000000Z"));
        assert_eq!(before(u32::MAX), None);
    }
}

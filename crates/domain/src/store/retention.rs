//! Retention: computes the removals that are due.

use super::Removal;
use crate::clock::Timestamp;
use crate::ids::TenantId;

const DAY_MICROS: i64 = 86_400_000_000;

/// The removals due at `now`, given every tenant's retention in days (0 keeps events forever).
///
/// Whole UTC days by time of receipt are counted, so an event stays at least that many days. The
/// first removal covers all tenants up to the longest retention, because PostgreSQL can drop whole
/// partitions for it. Then follow the tenants with a shorter one.
#[must_use]
pub fn due_removals(tenants: &[(TenantId, u32)], now: Timestamp) -> Vec<Removal> {
    let midnight = now.as_micros() - now.as_micros().rem_euclid(DAY_MICROS);
    let before = |days: u32| {
        Timestamp::from_micros(midnight.checked_sub(i64::from(days).checked_mul(DAY_MICROS)?)?)
    };
    let days = || tenants.iter().map(|(_, days)| *days);
    let longest = days().max().filter(|_| !days().any(|days| days == 0));
    let of_all =
        longest.and_then(before).map(|before| Removal::Received { tenant_id: None, before });
    let of_one = tenants.iter().filter(|(_, days)| *days > 0 && Some(*days) != longest).filter_map(
        |(id, days)| Some(Removal::Received { tenant_id: Some(*id), before: before(*days)? }),
    );
    of_all.into_iter().chain(of_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(days: &[u32], expected: &[(Option<i64>, &str)]) {
        let tenants: Vec<_> = (1..).map(TenantId).zip(days.iter().copied()).collect();
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let expected: Vec<_> = expected
            .iter()
            .map(|(id, before)| Removal::Received {
                tenant_id: id.map(TenantId),
                before: at(before),
            })
            .collect();
        assert_eq!(due_removals(&tenants, at("2026-11-24T09:30:00Z")), expected, "{days:?}");
    }

    #[test]
    fn removals_cover_all_tenants_first_then_shorter_retentions() {
        check(&[], &[]);
        check(&[0, 0], &[]);
        check(&[1], &[(None, "2026-11-23T00:00:00Z")]);
        check(&[30, 30], &[(None, "2026-10-25T00:00:00Z")]);
        check(&[30, 10], &[(None, "2026-10-25T00:00:00Z"), (Some(2), "2026-11-14T00:00:00Z")]);
        check(&[0, 10], &[(Some(2), "2026-11-14T00:00:00Z")]);
        check(&[36_500], &[(None, "1926-12-19T00:00:00Z")]);
        check(&[u32::MAX], &[]);
    }
}

//! A few of the rejected events, in the log: what was wrong and where, never what was sent.
//!
//! At most so many lines a second for each tenant; the next line tells how many were left out. Names that a client made, such
//! as the members of its payloads, are content: in a pointer each of them is `*`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mercurio_domain::TenantId;
use mercurio_domain::verdict::Rejection;
use mercurio_observability::keys;
use slog::{Logger, info};

/// Tenants above which those are forgotten that had nothing rejected lately.
const SWEEP_ABOVE: usize = 1_000;
const WINDOW: Duration = Duration::from_secs(1);
/// The names of the contract.
const NAMES: [&str; 13] = [
    "events",
    "sent_at",
    "event_id",
    "type",
    "event_name",
    "timestamp",
    "anonymous_id",
    "user_id",
    "session_id",
    "schema_version",
    "properties",
    "traits",
    "context",
];

/// Decides which rejections are logged, and logs them.
pub struct RejectionLog {
    per_second: u32,
    windows: Mutex<HashMap<TenantId, Window>>,
}

struct Window {
    start: Instant,
    logged: u32,
    not_logged: u64,
}

impl RejectionLog {
    /// Logs so many rejections a second and tenant; 0: none.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self { per_second, windows: Mutex::default() }
    }

    /// Logs the first fault of a rejection, unless the tenant had its share of lines.
    pub fn tell(&self, log: &Logger, tenant_id: TenantId, rejection: &Rejection) {
        let Some(fault) = rejection.errors.first() else { return };
        if let Some(not_logged) = self.admit(tenant_id, Instant::now()) {
            info!(log, "an event was rejected";
                keys::CODE => fault.code.as_str(),
                keys::POINTER => masked(&fault.pointer),
                keys::NOT_LOGGED => Some(not_logged).filter(|number| *number > 0));
        }
    }

    /// How many were left out before this one, which is logged; `None`: it is not.
    fn admit(&self, tenant_id: TenantId, now: Instant) -> Option<u64> {
        if self.per_second == 0 {
            return None;
        }
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= SWEEP_ABOVE {
            windows.retain(|_, window| now.duration_since(window.start) < WINDOW);
        }
        let window =
            windows.entry(tenant_id).or_insert(Window { start: now, logged: 0, not_logged: 0 });
        if now.duration_since(window.start) >= WINDOW {
            (window.start, window.logged) = (now, 0);
        }
        if window.logged >= self.per_second {
            window.not_logged += 1;
            return None;
        }
        window.logged += 1;
        Some(std::mem::take(&mut window.not_logged))
    }
}

/// A pointer without what the client named: the contract's names stay where the contract has them, and the number of an event.
fn masked(pointer: &str) -> String {
    let mut shown = String::with_capacity(pointer.len());
    for (depth, token) in pointer.split('/').skip(1).enumerate() {
        let in_batch = shown.starts_with("/events");
        let is_number = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
        let told = match depth {
            0 => NAMES.contains(&token),
            1 => in_batch && is_number,
            2 => in_batch && NAMES.contains(&token),
            _ => false,
        };
        shown.push('/');
        shown.push_str(if told { token } else { "*" });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_named_is_masked() {
        for (pointer, shown) in [
            ("", ""),
            ("/event_name", "/event_name"),
            ("/events/3/event_name", "/events/3/event_name"),
            ("/events/3/properties/4111111111111111/0", "/events/3/properties/*/*"),
            ("/properties/user_id", "/properties/*"),
            ("/properties/12", "/properties/*"),
            ("/events/3/someone@example.com", "/events/3/*"),
            ("/events/12a", "/events/*"),
            ("/someone~1else", "/*"),
            ("/events/", "/events/*"),
        ] {
            assert_eq!(masked(pointer), shown, "{pointer}");
        }
    }

    #[test]
    fn a_tenant_has_so_many_lines_a_second_and_is_told_what_was_left_out() {
        let log = RejectionLog::new(2);
        let start = Instant::now();
        let told =
            |tenant, millis| log.admit(TenantId(tenant), start + Duration::from_millis(millis));
        assert_eq!(
            [told(1, 0), told(1, 1), told(1, 2), told(1, 999)],
            [Some(0), Some(0), None, None]
        );
        assert_eq!(told(2, 3), Some(0), "another tenant has its own");
        assert_eq!([told(1, 1000), told(1, 1001)], [Some(2), Some(0)]);
        assert_eq!(RejectionLog::new(0).admit(TenantId(1), start), None);
    }

    #[test]
    fn many_tenants_are_forgotten_again() {
        let log = RejectionLog::new(1);
        let start = Instant::now();
        for tenant in 0..3 * SWEEP_ABOVE as i64 {
            log.admit(TenantId(tenant), start + Duration::from_millis(tenant as u64 * 2));
        }
        assert!(log.windows.lock().unwrap().len() <= SWEEP_ABOVE);
    }
}

//! Log lines about rejected events: the error and its position, never the event.
//!
//! The number of lines per second and tenant is limited; the next line reports the number of omitted ones. Names chosen by a
//! client, such as members of payloads, are content: a pointer shows `*` in their place.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mercurio_domain::TenantId;
use mercurio_domain::verdict::Rejection;
use mercurio_observability::keys;
use slog::{Logger, info};

/// Number of tenants above which tenants without recent rejections are dropped. Bounds the memory.
const SWEEP_ABOVE: usize = 1_000;
const WINDOW: Duration = Duration::from_secs(1);
/// Names of the HTTP API, safe to log.
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

/// Logs a sample of rejections.
pub struct RejectionLog {
    per_second: u32,
    windows: Mutex<HashMap<TenantId, Window>>,
}

struct Window {
    start: Instant,
    logged: u32,
    /// Rejections since the last line.
    not_logged: u64,
}

impl RejectionLog {
    /// Returns a log with at most `per_second` lines per second and tenant. 0 disables it.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self { per_second, windows: Mutex::default() }
    }

    /// Logs the first error of a rejection, unless the tenant has used up its lines.
    pub fn record(&self, log: &Logger, tenant_id: TenantId, rejection: &Rejection) {
        let Some(error) = rejection.errors.first() else { return };
        if let Some(not_logged) = self.admit(tenant_id, Instant::now()) {
            info!(log, "event rejected";
                keys::CODE => error.code.as_str(),
                keys::POINTER => masked(&error.pointer),
                keys::NOT_LOGGED => Some(not_logged).filter(|number| *number > 0));
        }
    }

    /// Returns the number of rejections not logged before this one, or `None` if this one is not logged either.
    fn admit(&self, tenant_id: TenantId, now: Instant) -> Option<u64> {
        if self.per_second == 0 {
            return None;
        }
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        // Few tenants need no sweep.
        if windows.len() >= SWEEP_ABOVE {
            windows.retain(|_, window| now.duration_since(window.start) < WINDOW);
        }
        let window =
            windows.entry(tenant_id).or_insert(Window { start: now, logged: 0, not_logged: 0 });
        if now.duration_since(window.start) >= WINDOW {
            // The omitted rejections stay for the first line of the new window.
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

/// Masks the names chosen by the client. Names of the API stay at their places, and so do the indexes of events.
fn masked(pointer: &str) -> String {
    let mut shown = String::with_capacity(pointer.len());
    // A pointer begins with a slash (RFC 6901), so its first token is empty.
    for (depth, token) in pointer.split('/').skip(1).enumerate() {
        // A number is an index below `/events` only; in a payload it is a name.
        let in_batch = shown.starts_with("/events");
        let is_number = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
        let is_ours = match depth {
            0 => NAMES.contains(&token),
            1 => in_batch && is_number,
            2 => in_batch && NAMES.contains(&token),
            _ => false,
        };
        shown.push('/');
        shown.push_str(if is_ours { token } else { "*" });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointer_masks_names_chosen_by_the_client() {
        for (pointer, shown) in [
            ("", ""),
            ("/event_name", "/event_name"),
            ("/events/3/event_name", "/events/3/event_name"),
            // A card number as a name, with an index below it.
            ("/events/3/properties/4111111111111111/0", "/events/3/properties/*/*"),
            ("/properties/user_id", "/properties/*"),
            ("/properties/12", "/properties/*"),
            ("/events/3/someone@example.com", "/events/3/*"),
            ("/events/12a", "/events/*"),
            // `~1` is an escaped slash (RFC 6901).
            ("/someone~1else", "/*"),
            ("/events/", "/events/*"),
        ] {
            assert_eq!(masked(pointer), shown, "{pointer}");
        }
    }

    #[test]
    fn rejections_over_the_limit_are_counted_in_the_next_line() {
        let log = RejectionLog::new(2);
        let start = Instant::now();
        for (tenant, millis, expected) in [
            (1, 0, Some(0)),
            (1, 1, Some(0)),
            (1, 2, None),
            (1, 999, None),
            // Another tenant has lines of its own.
            (2, 3, Some(0)),
            // The next window reports the two omitted ones.
            (1, 1_000, Some(2)),
            (1, 1_001, Some(0)),
        ] {
            let admitted = log.admit(TenantId(tenant), start + Duration::from_millis(millis));
            assert_eq!(admitted, expected, "{tenant} at {millis} ms");
        }
        assert_eq!(RejectionLog::new(0).admit(TenantId(1), start), None);
    }

    #[test]
    fn sweep_bounds_the_number_of_tenants() {
        let log = RejectionLog::new(1);
        let start = Instant::now();
        for tenant in 0..3 * SWEEP_ABOVE as i64 {
            // One tenant every 2 ms, so 500 windows are recent at any time.
            log.admit(TenantId(tenant), start + Duration::from_millis(tenant as u64 * 2));
        }
        assert!(log.windows.lock().unwrap().len() <= SWEEP_ABOVE);
    }
}

//! Log lines about rejected events: the error and its position, never the event.
//!
//! The number of lines per second and tenant is limited; the next line reports the number of
//! omitted ones. Names chosen by a client, such as members of payloads, are content: a pointer
//! shows `*` in their place.

use std::time::Instant;

use mercurio_domain::TenantId;
use mercurio_domain::hints::EVENT_MEMBERS;
use mercurio_domain::verdict::Rejection;
use mercurio_observability::keys;
use slog::{Logger, info};

use crate::line_limit::LineLimit;

/// Names in requests, other than the members of an event, that are safe to log: of the HTTP API and
/// of the protocols of other services.
const NAMES: [&str; 12] = [
    "events",
    "sent_at",
    "batch",
    "messageId",
    "event",
    "name",
    "originalTimestamp",
    "anonymousId",
    "previousId",
    "userId",
    "uuid",
    "distinct_id",
];

fn is_ours(name: &str) -> bool {
    NAMES.contains(&name) || EVENT_MEMBERS.contains(&name)
}

/// Logs a sample of rejections.
pub struct RejectionLog {
    lines: LineLimit<TenantId>,
}

impl RejectionLog {
    /// Returns a log with at most `per_second` lines per second and tenant. 0 disables it.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self { lines: LineLimit::new(per_second) }
    }

    /// Logs the first error of a rejection, unless the tenant has used up its lines.
    pub fn record(&self, log: &Logger, tenant_id: TenantId, rejection: &Rejection) {
        let Some(error) = rejection.errors.first() else { return };
        if let Some(not_logged) = self.lines.admit(tenant_id, Instant::now()) {
            info!(log, "event rejected";
                keys::CODE => error.code.as_str(),
                keys::POINTER => masked(&error.pointer),
                keys::NOT_LOGGED => Some(not_logged).filter(|number| *number > 0));
        }
    }
}

/// Masks the names chosen by the client. Names of the API stay at their places, and so do the
/// indexes of events.
fn masked(pointer: &str) -> String {
    let mut shown = String::with_capacity(pointer.len());
    // A pointer begins with a slash (RFC 6901), so its first token is empty.
    for (depth, token) in pointer.split('/').skip(1).enumerate() {
        // A number is an index below the array of events only; in a payload it is a name.
        let in_batch = shown.starts_with("/events") || shown.starts_with("/batch");
        let is_number = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
        let is_shown = match depth {
            0 => is_ours(token),
            1 => in_batch && is_number,
            2 => in_batch && is_ours(token),
            _ => false,
        };
        shown.push('/');
        shown.push_str(if is_shown { token } else { "*" });
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
            ("/batch/3/userId", "/batch/3/userId"),
            ("/batch/3/context/sessionId", "/batch/3/context/*"),
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
}

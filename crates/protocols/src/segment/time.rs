//! Times of sending.

use mercurio_domain::Timestamp;
use mercurio_domain::payload::text_of;

/// Reads a time of sending. Any other value counts as left out: it only corrects the clock.
pub(super) fn time(json: &str) -> Option<Timestamp> {
    Timestamp::parse(&text_of(json).ok()?).ok()
}

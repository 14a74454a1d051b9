//! Times of foreign bodies.

use mercurio_domain::Timestamp;
use mercurio_domain::payload::text_of;

/// Reads a time of sending in RFC 3339. Any other value counts as left out: it only corrects the
/// clock.
pub(crate) fn of_text(json: &str) -> Option<Timestamp> {
    Timestamp::parse(&text_of(json).ok()?).ok()
}

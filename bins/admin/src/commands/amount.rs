//! Numbers of things in messages.

use indicatif::HumanCount;

/// Returns `1 event` or `1,234 events`.
pub(super) fn amount(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{} {noun}s", HumanCount(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_thing_has_no_plural() {
        assert_eq!(amount(0, "event"), "0 events");
        assert_eq!(amount(1, "API key"), "1 API key");
        assert_eq!(amount(1_234_567, "event"), "1,234,567 events");
    }
}

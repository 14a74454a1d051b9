//! The answer to a request with at least one stored event.

use serde::Serialize;

/// A JSON object that every client takes for a success: these members and those of `result`.
///
/// Clients look at the status 200 alone, or also at one of these members: `success` (Jitsu,
/// RudderStack's HTTP API), `ok`, `status` (Mixpanel) or `code` (Amplitude).
#[derive(Debug, Serialize)]
pub struct Answer<T> {
    success: bool,
    ok: bool,
    status: u8,
    code: u16,
    /// Counts and verdicts.
    #[serde(flatten)]
    result: T,
}

impl<T: Serialize> Answer<T> {
    /// Wraps counts and verdicts, which serialize to an object.
    pub fn new(result: T) -> Self {
        Self { success: true, ok: true, status: 1, code: 200, result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Counts {
        accepted: u64,
    }

    #[test]
    fn answer_has_the_members_of_all_clients() {
        let json = serde_json::to_string(&Answer::new(Counts { accepted: 2 })).unwrap();
        assert_eq!(json, r#"{"success":true,"ok":true,"status":1,"code":200,"accepted":2}"#);
    }
}

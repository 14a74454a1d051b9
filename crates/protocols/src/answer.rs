//! The answer to a request with at least one stored event.

use mercurio_domain::verdict::Verdict;
use serde::Serialize;

use crate::{Form, Received, amplitude};

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
    #[serde(flatten)]
    amplitude: Option<amplitude::Stored>,
    /// Counts and verdicts.
    #[serde(flatten)]
    result: T,
}

impl<T: Serialize> Answer<T> {
    /// Wraps counts and verdicts, which serialize to an object.
    pub fn new(form: Form, received: &Received<'_>, verdicts: &[Verdict], result: T) -> Self {
        let amplitude =
            matches!(form, Form::Amplitude(_)).then(|| amplitude::stored(received, verdicts));
        Self { success: true, ok: true, status: 1, code: 200, amplitude, result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AmplitudeForm, SegmentForm};
    use mercurio_domain::verdict::Outcome;
    use mercurio_domain::{EventId, Timestamp};

    #[derive(Serialize)]
    struct Counts {
        accepted: u64,
    }

    fn json(form: Form) -> String {
        let received = Received { body: b"{...}", at: Timestamp::from_micros(1_999).unwrap() };
        let stored = Verdict::Stored(EventId::lookup("e"), Outcome::Accepted);
        let answer = Answer::new(form, &received, &[stored], Counts { accepted: 1 });
        serde_json::to_string(&answer).unwrap()
    }

    #[test]
    fn answer_has_the_members_of_all_clients() {
        let common = r#"{"success":true,"ok":true,"status":1,"code":200,"accepted":1}"#;
        assert_eq!(json(Form::Segment(SegmentForm::Batch)), common);
        let own = r#""code":200,"events_ingested":1,"payload_size_bytes":5,"server_upload_time":1,"accepted":1}"#;
        let amplitude = json(Form::Amplitude(AmplitudeForm::Batch));
        assert!(amplitude.ends_with(own), "{amplitude}");
    }
}

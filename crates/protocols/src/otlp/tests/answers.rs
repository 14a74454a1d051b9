//! Answers in both encodings.

use mercurio_domain::EventId;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, Outcome, Rejection, Verdict};
use serde_json::json;

use super::super::{failure, reply};
use super::{JSON, PROTOBUF, with_type};
use crate::{Failure, FailureReply, Reply};

fn reply_to(media_type: &str, verdicts: &[Verdict]) -> Reply {
    with_type(media_type, |head| reply(head, verdicts))
}

fn rejection(index: usize) -> Verdict {
    let message = format!("error {index}");
    let error = FieldError::new("", FieldErrorCode::Required, message);
    Verdict::Rejected(Rejection::new(None, vec![error]))
}

#[test]
fn answer_has_the_encoding_of_the_request() {
    let stored = || Verdict::Stored(EventId::of_content("t", &[]), Outcome::Accepted);
    for verdicts in [vec![], vec![stored()]] {
        let protobuf = Reply { status: 200, content_type: PROTOBUF, body: vec![].into() };
        assert_eq!(reply_to(PROTOBUF, &verdicts), protobuf);
        assert_eq!(reply_to(JSON, &verdicts), Reply::json(200, "{}"));
        assert_eq!(reply_to("", &verdicts), Reply::json(200, "{}"));
    }
    let mut verdicts: Vec<_> = (0..5).map(rejection).collect();
    verdicts.insert(1, stored());
    let message =
        "5 of 6 log records are rejected; record 0: error 0; record 2: error 1; record 3: error 2";
    let json = json!({"partialSuccess": {"rejectedLogRecords": "5", "errorMessage": message}});
    assert_eq!(reply_to(JSON, &verdicts).body, json.to_string().into_bytes());
    let mut expected = vec![0x0a, message.len() as u8 + 4, 0x08, 5, 0x12, message.len() as u8];
    expected.extend(message.as_bytes());
    assert_eq!(reply_to(PROTOBUF, &verdicts).body, expected);
}

fn reply_to_failure(media_type: &str, found: &Failure<'_>) -> Reply {
    match with_type(media_type, |head| failure(head, found)) {
        FailureReply::Own(reply) => reply,
        FailureReply::Problem(_) => panic!("{found:?}"),
    }
}

#[test]
fn failure_is_a_status_of_grpc() {
    for (status, expected, code) in [
        (400, 400, 3),
        (401, 401, 16),
        (403, 403, 7),
        (408, 503, 14),
        (413, 413, 3),
        (422, 400, 3),
        (429, 429, 8),
        (500, 503, 14),
        (503, 503, 14),
    ] {
        let failure = Failure {
            status,
            code: "code",
            detail: "No.",
            errors: None,
            retry_after_seconds: None,
        };
        let json = json!({"code": code, "message": "No."}).to_string();
        assert_eq!(reply_to_failure(JSON, &failure), Reply::json(expected, json));
        let body = vec![0x08, code, 0x12, 3, b'N', b'o', b'.'];
        let protobuf = Reply { status: expected, content_type: PROTOBUF, body: body.into() };
        assert_eq!(reply_to_failure(PROTOBUF, &failure), protobuf);
    }
}

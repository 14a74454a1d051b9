//! Answers in the encoding of the request: `ExportLogsServiceResponse`, and `google.rpc.Status` for a
//! failed request.

use mercurio_domain::verdict::Verdict;
use serde_json::json;

use super::Encoding;
use super::wire::{push_bytes, push_number};
use crate::{Failure, FailureReply, Head, Reply};

/// Rejections that the message of a partial success names.
const NAMED_REJECTIONS: u64 = 3;

const PROTOBUF: &str = "application/x-protobuf";

/// Returns the answer to a request whose valid events are stored: 200, and the number of rejected
/// records.
pub(crate) fn reply(head: &Head<'_>, verdicts: &[Verdict]) -> Reply {
    let (mut rejected, mut reasons) = (0, String::new());
    for (index, verdict) in verdicts.iter().enumerate() {
        let Verdict::Rejected(rejection) = verdict else { continue };
        rejected += 1;
        if let Some(error) = rejection.errors.first().filter(|_| rejected <= NAMED_REJECTIONS) {
            reasons.push_str(&format!("; record {index}: {}", error.message));
        }
    }
    let message = format!("{rejected} of {} log records are rejected{reasons}", verdicts.len());
    match Encoding::of_answer(head) {
        Encoding::Json if rejected == 0 => Reply::json(200, "{}"),
        Encoding::Json => {
            // Integers of 64 bits are texts in JSON.
            let partial =
                json!({"rejectedLogRecords": rejected.to_string(), "errorMessage": message});
            Reply::json(200, json!({ "partialSuccess": partial }).to_string())
        }
        Encoding::Protobuf => {
            let mut body = Vec::new();
            if rejected > 0 {
                let mut partial = Vec::new();
                push_number(&mut partial, 1, rejected);
                push_bytes(&mut partial, 2, message.as_bytes());
                push_bytes(&mut body, 1, &partial);
            }
            Reply { status: 200, content_type: PROTOBUF, body: body.into() }
        }
    }
}

/// Returns the answer to a failed request.
pub(crate) fn failure(head: &Head<'_>, failure: &Failure<'_>) -> FailureReply {
    let status = match failure.status {
        // Exporters repeat 429, 502, 503 and 504 alone: after another one the records are lost.
        408 | 500 => 503,
        422 => 400,
        status => status,
    };
    let code = code_of(status);
    FailureReply::Own(match Encoding::of_answer(head) {
        Encoding::Json => {
            Reply::json(status, json!({"code": code, "message": failure.detail}).to_string())
        }
        Encoding::Protobuf => {
            let mut body = Vec::new();
            push_number(&mut body, 1, code);
            push_bytes(&mut body, 2, failure.detail.as_bytes());
            Reply { status, content_type: PROTOBUF, body: body.into() }
        }
    })
}

/// Returns the code of gRPC for a status of HTTP.
fn code_of(status: u16) -> u64 {
    match status {
        400 | 413 | 415 => 3, // INVALID_ARGUMENT
        401 => 16,            // UNAUTHENTICATED
        403 => 7,             // PERMISSION_DENIED
        429 => 8,             // RESOURCE_EXHAUSTED
        503 => 14,            // UNAVAILABLE
        _ => 2,               // UNKNOWN
    }
}

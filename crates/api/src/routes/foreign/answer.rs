//! Requests and answers between HTTP and the protocols.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use mercurio_protocols::{Failure, FailureReply, Form, Head, Header, Reply};

use crate::middleware::KeepBody;
use crate::problem::Problem;
use crate::writes::request_id;

/// Returns the headers of a request for a protocol.
pub(super) fn headers_of(request: &HttpRequest) -> Vec<Header<'_>> {
    let headers = request.headers().iter();
    headers.map(|(name, value)| Header { name: name.as_str(), value: value.as_bytes() }).collect()
}

/// Returns the response of a protocol's own answer.
pub(super) fn response(reply: Reply) -> HttpResponse {
    let mut builder = HttpResponse::build(status(reply.status));
    let mut response = if reply.content_type.is_empty() {
        builder.finish()
    } else {
        builder.content_type(reply.content_type).body(reply.body.into_owned())
    };
    response.extensions_mut().insert(KeepBody);
    response
}

/// Returns the response to a failed request, in the words of its protocol.
pub(super) fn refusal(form: Form, head: &Head<'_>, problem: &Problem) -> HttpResponse {
    let parts = problem.parts();
    let failure = Failure {
        status: parts.status.as_u16(),
        code: &parts.code,
        detail: &parts.detail,
        errors: parts.json("errors"),
        retry_after_seconds: parts.retry_after_seconds(),
    };
    match form.failure(head, &failure) {
        FailureReply::Problem(code) => problem.foreign_response(status(code), &request_id()),
        FailureReply::Own(reply) => {
            let mut own = response(reply);
            let content_type = own.headers().get(CONTENT_TYPE).cloned();
            // Retry-After and the like.
            problem.add_headers(own.headers_mut());
            let none = HeaderValue::from_static("text/plain");
            own.headers_mut().insert(CONTENT_TYPE, content_type.unwrap_or(none));
            own
        }
    }
}

fn status(code: u16) -> StatusCode {
    let status = StatusCode::from_u16(code);
    debug_assert!(status.is_ok(), "a protocol answers with a status of HTTP");
    status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

//! A problem as an HTTP response: its JSON and its headers.
//!
//! Not here: the header `X-Request-Id`; the middleware adds it to every response.

use super::parts::ResponseParts;
use super::types::Problem;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use mercurio_observability::context;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// The media type of RFC 9457.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A problem's JSON object.
struct ProblemJson<'a> {
    parts: &'a ResponseParts<'a>,
    status: StatusCode,
    request_id: &'a str,
    readers: Readers,
}

/// Who reads a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readers {
    /// Clients of this server's own API.
    Own,
    /// Clients of other services. Some fail without `message`, or without `error`, and then send
    /// the request again.
    Foreign,
}

impl Serialize for ProblemJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = self.parts;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &parts.type_reference())?;
        map.serialize_entry("title", &parts.title)?;
        map.serialize_entry("status", &self.status.as_u16())?;
        map.serialize_entry("code", &parts.code)?;
        map.serialize_entry("detail", &parts.detail)?;
        if self.readers == Readers::Foreign {
            map.serialize_entry("message", &parts.detail)?;
            map.serialize_entry("error", &parts.detail)?;
        }
        for member in &parts.members {
            map.serialize_entry(member.name, &member.value)?;
        }
        map.serialize_entry("request_id", self.request_id)?;
        map.end()
    }
}

impl Problem {
    /// Returns the JSON of the response to the request with this id.
    #[must_use]
    pub fn to_json(&self, request_id: &str) -> String {
        self.json(Readers::Own, self.status(), request_id)
    }

    fn json(&self, readers: Readers, status: StatusCode, request_id: &str) -> String {
        let parts = &self.parts();
        let json = serde_json::to_string(&ProblemJson { parts, status, request_id, readers });
        debug_assert!(json.is_ok(), "strings, numbers and raw JSON serialise");
        json.unwrap_or_default()
    }

    /// Returns the response to the request with this id.
    #[must_use]
    pub fn response(&self, request_id: &str) -> HttpResponse {
        self.response_with(self.status(), self.to_json(request_id))
    }

    /// Returns the response to a client of another service. Some of them need another status.
    pub(crate) fn foreign_response(&self, status: StatusCode, request_id: &str) -> HttpResponse {
        self.response_with(status, self.json(Readers::Foreign, status, request_id))
    }

    fn response_with(&self, status: StatusCode, json: String) -> HttpResponse {
        let mut response = HttpResponse::new(status).set_body(BoxBody::new(json));
        self.add_headers(response.headers_mut());
        response
    }

    /// Sets the problem's headers, including `Content-Type`.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        for header in self.parts().headers {
            let value = HeaderValue::from_str(&header.value);
            debug_assert!(value.is_ok(), "{} has a valid value", header.name);
            if let Ok(value) = value {
                headers.insert(header.name, value);
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        write!(f, "{}: {}", parts.code, parts.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    /// Returns the response to the request of the current task.
    fn error_response(&self) -> HttpResponse {
        let request = context::current_request();
        // Without the middleware, as in a unit test, the id is empty.
        self.response(request.as_ref().map_or("", |request| &request.request_id))
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

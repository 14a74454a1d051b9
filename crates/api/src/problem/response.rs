//! A problem as an HTTP response: its JSON and its headers.
//!
//! Not here: the table of problems; the `X-Request-Id` header, which the edge adds to every response.

use super::{Answer, Problem};
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use mercurio_observability::context;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// The media type of RFC 9457.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The JSON of a problem.
struct Document<'a> {
    answer: &'a Answer<'a>,
    request_id: &'a str,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let answer = self.answer;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &answer.type_url())?;
        map.serialize_entry("title", &answer.title)?;
        map.serialize_entry("status", &answer.status.as_u16())?;
        map.serialize_entry("code", &answer.code)?;
        map.serialize_entry("detail", &answer.detail)?;
        for (name, value) in &answer.members {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("request_id", self.request_id)?;
        map.end()
    }
}

impl Problem {
    /// The JSON that a client is sent.
    #[must_use]
    pub fn to_json(&self, request_id: &str) -> String {
        let answer = self.answer();
        // Strings, numbers and JSON made before have nothing that could fail.
        serde_json::to_string(&Document { answer: &answer, request_id }).unwrap_or_default()
    }

    /// The response to the request of that id.
    #[must_use]
    pub fn response(&self, request_id: &str) -> HttpResponse {
        let mut response =
            HttpResponse::new(self.status()).set_body(BoxBody::new(self.to_json(request_id)));
        self.add_headers(response.headers_mut());
        response
    }

    /// Sets the problem's headers, its `Content-Type` included.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        for (name, value) in self.answer().headers {
            // A value that can't stand in a header is none of ours; the body tells the same.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = self.answer();
        write!(f, "{}: {}", answer.code, answer.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    /// The response, with the id of the request that the running task serves.
    fn error_response(&self) -> HttpResponse {
        let request = context::current_request();
        self.response(request.as_ref().map_or("", |request| &request.request_id))
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

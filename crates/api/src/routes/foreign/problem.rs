//! Problems in the form that clients of other services read.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::problem::{Problem, Readers};
use crate::writes::request_id;

/// A problem with the members that clients of other services look for.
#[derive(Debug)]
pub(super) struct ForeignProblem(Problem);

impl From<Problem> for ForeignProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl fmt::Display for ForeignProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for ForeignProblem {
    fn status_code(&self) -> StatusCode {
        self.0.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.0.response_for(Readers::Foreign, &request_id())
    }
}

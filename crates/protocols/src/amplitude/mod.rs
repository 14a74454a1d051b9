//! FRAME: to be written.

use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::Verdict;

use crate::endpoint::Endpoint;
use crate::{Failure, FailureReply, ForeignRequest, Head, Reply};

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmplitudeForm {}

pub(crate) const ENDPOINTS: &[Endpoint<AmplitudeForm>] = &[];

pub(crate) fn example(form: AmplitudeForm) -> &'static str {
    match form {}
}

pub(crate) fn read<'a>(
    form: AmplitudeForm,
    _: &Head<'a>,
    _: &'a str,
    _: usize,
) -> Result<ForeignRequest<'a>, ParseError> {
    match form {}
}

pub(crate) fn reply(form: AmplitudeForm, _: &Head<'_>, _: &[Verdict]) -> Option<Reply> {
    match form {}
}

pub(crate) fn failure(form: AmplitudeForm, _: &Head<'_>, _: &Failure<'_>) -> FailureReply {
    match form {}
}

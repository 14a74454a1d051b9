//! FRAME: to be written.

use std::borrow::Cow;

use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::Verdict;

use crate::endpoint::Endpoint;
use crate::{Failure, FailureReply, ForeignRequest, Head, Reply};

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixpanelForm {}

pub(crate) const ENDPOINTS: &[Endpoint<MixpanelForm>] = &[];

pub(crate) fn example(form: MixpanelForm) -> &'static str {
    match form {}
}

pub(crate) fn payload<'a>(
    form: MixpanelForm,
    _: &Head<'a>,
    _: &'a [u8],
) -> Result<Cow<'a, [u8]>, ParseError> {
    match form {}
}

pub(crate) fn read<'a>(
    form: MixpanelForm,
    _: &Head<'a>,
    _: &'a str,
    _: usize,
) -> Result<ForeignRequest<'a>, ParseError> {
    match form {}
}

pub(crate) fn reply(form: MixpanelForm, _: &Head<'_>, _: &[Verdict]) -> Option<Reply> {
    match form {}
}

pub(crate) fn failure(form: MixpanelForm, _: &Head<'_>, _: &Failure<'_>) -> FailureReply {
    match form {}
}

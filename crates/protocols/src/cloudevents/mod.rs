//! FRAME: to be written.

use std::borrow::Cow;

use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::Verdict;

use crate::endpoint::Endpoint;
use crate::{ForeignRequest, Head, Reply};

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudEventsForm {}

/// The form of a request of OpenMeter's clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMeterForm {}

pub(crate) const ENDPOINTS: &[Endpoint<CloudEventsForm>] = &[];

pub(crate) const OPENMETER_ENDPOINTS: &[Endpoint<OpenMeterForm>] = &[];

pub(crate) fn example(form: CloudEventsForm) -> &'static str {
    match form {}
}

pub(crate) fn openmeter_example(form: OpenMeterForm) -> &'static str {
    match form {}
}

pub(crate) fn payload<'a>(
    form: CloudEventsForm,
    _: &Head<'a>,
    _: &'a [u8],
) -> Result<Cow<'a, [u8]>, ParseError> {
    match form {}
}

pub(crate) fn read<'a>(
    form: CloudEventsForm,
    _: &Head<'a>,
    _: &'a str,
    _: usize,
) -> Result<ForeignRequest<'a>, ParseError> {
    match form {}
}

pub(crate) fn openmeter_read<'a>(
    form: OpenMeterForm,
    _: &Head<'a>,
    _: &'a str,
    _: usize,
) -> Result<ForeignRequest<'a>, ParseError> {
    match form {}
}

pub(crate) fn openmeter_reply(form: OpenMeterForm, _: &Head<'_>, _: &[Verdict]) -> Option<Reply> {
    match form {}
}

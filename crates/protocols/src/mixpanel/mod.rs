//! Mixpanel's API, as its server and browser clients speak it: events, changes of profiles and of
//! groups. They come as JSON, or in the field `data` of a form or a query string.

mod answer;
mod data;
mod event;
mod names;
mod person;
mod profile;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use mercurio_domain::request::ParseError;

use crate::endpoint::{Endpoint, get, post};
use crate::list::{self, Layout};
use crate::{BodyKey, ForeignRequest, Head, OTHER_LIBRARY};

pub(crate) use answer::{failure, reply};
pub(crate) use data::has_shape;

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixpanelForm {
    /// Events.
    Track,
    /// Events of any age. Its clients expect another answer.
    Import,
    /// Changes of the profiles of users.
    Engage,
    /// Changes of the profiles of groups.
    Groups,
}

use MixpanelForm::{Engage, Groups, Import, Track};

/// The paths of Mixpanel's clients. Those of servers send single events with `GET`, and browsers with `POST`.
pub(crate) const ENDPOINTS: &[Endpoint<MixpanelForm>] = &[
    post("/track", Track),
    post("/import", Import),
    post("/engage", Engage),
    post("/groups", Groups),
    get("/track", Track),
    get("/import", Import),
    get("/engage", Engage),
    get("/groups", Groups),
];

/// The smallest body of each form.
pub(crate) fn example(form: MixpanelForm) -> &'static str {
    match form {
        Track | Import => {
            r#"{"event": "Signed Up", "properties": {"token": "mk_…", "distinct_id": "u-42"}}"#
        }
        Engage => r#"{"$token": "mk_…", "$distinct_id": "u-42", "$set": {"plan": "pro"}}"#,
        Groups => {
            r#"{"$token": "mk_…", "$group_key": "company", "$group_id": "c-7", "$set": {"plan": "pro"}}"#
        }
    }
}

/// Returns the JSON of a request.
///
/// # Errors
/// [`ParseError`] for a form without `data`, with two of them, or with other text.
pub(crate) fn payload<'a>(
    _: MixpanelForm,
    head: &Head<'a>,
    body: &'a [u8],
) -> Result<Cow<'a, [u8]>, ParseError> {
    data::payload(head, body)
}

/// Reads objects of this form: an array of them, one, or one a line.
///
/// # Errors
/// [`ParseError`]. Errors in single objects are not among them.
pub(crate) fn read<'a>(
    form: MixpanelForm,
    _: &Head<'a>,
    text: &'a str,
    max_events: usize,
) -> Result<ForeignRequest<'a>, ParseError> {
    let mut key = BodyKey::Missing;
    let mut library = OTHER_LIBRARY;
    let items = match form {
        Track | Import => list::read(text, Layout::Lines, "the event", max_events, |event| {
            event::finish(event, &mut key, &mut library)
        })?,
        Engage | Groups => list::read(text, Layout::Lines, "the profile", max_events, |profile| {
            profile::finish(profile, form == Groups, &mut key)
        })?,
    };
    Ok(ForeignRequest { items, key, library })
}

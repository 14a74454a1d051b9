//! The JSON of a request: its body, or the field `data` of a form or of the query string, as text or
//! in Base64.

use std::borrow::Cow;

use mercurio_domain::payload::{JsonSlice, Scanner, read_members, scan_members};
use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::FieldErrorCode;
use serde_json::value::RawValue;

use crate::Head;
use crate::encoded::{base64, form_value};
use crate::envelope::shape;
use crate::object::member;

const FORM: &str = "application/x-www-form-urlencoded";

/// Returns whether a body is JSON rather than a form.
pub(super) fn is_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

pub(super) fn payload<'a>(head: &Head<'a>, body: &'a [u8]) -> Result<Cow<'a, [u8]>, ParseError> {
    if is_json(body) {
        return Ok(body.into());
    }
    let is_empty = body.trim_ascii().is_empty();
    let form = if is_empty { head.query.as_bytes() } else { body };
    match form_value(form, "data")? {
        Some(json) if is_json(&json) => Ok(json),
        Some(text) => base64(without_line_end(&text)).map(Cow::Owned),
        None if !is_empty && head.media_type() == FORM => {
            let message = "data is required: JSON, or its Base64".to_owned();
            Err(shape("/data", FieldErrorCode::Required, message))
        }
        // The parser of JSON says what it is.
        None => Ok(body.into()),
    }
}

/// Keeps a space at the end: it may have been a plus.
fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// Returns whether a field of the query string or of a form has the value `1`.
pub(super) fn has_flag(head: &Head<'_>, body: &[u8], name: &str) -> bool {
    let form: &[u8] = if is_json(body) { &[] } else { body };
    // Two of them are no flag: one may be another's.
    let is_set =
        |fields| form_value(fields, name).is_ok_and(|value| value.as_deref() == Some(b"1"));
    is_set(head.query.as_bytes()) || is_set(form)
}

/// Returns whether the first event of a request has a token, as Mixpanel's events have.
pub(crate) fn has_shape(head: &Head<'_>, body: &[u8]) -> bool {
    let Ok(payload) = payload(head, body) else { return false };
    let Ok(text) = std::str::from_utf8(&payload) else { return false };
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text).trim_ascii_start();
    // Of an array, or alone.
    let first = text.strip_prefix('[').unwrap_or(text);
    let mut properties: Option<JsonSlice<'_>> = None;
    // An event with an error after its properties has them too.
    let scanned = scan_members(first, &mut Scanner::new(first), |name, value| {
        if name == "properties" {
            properties = Some(value);
        }
    });
    match properties {
        Some(properties) => member(properties, "\"token\"").is_some(),
        // The scanner ends at a value with too many levels. That event is bad, the others are not.
        None => scanned.is_none() && has_token(first),
    }
}

/// As above, for every JSON.
fn has_token(first: &str) -> bool {
    let mut values = serde_json::Deserializer::from_str(first).into_iter::<&RawValue>();
    let Some(Ok(event)) = values.next() else { return false };
    let mut has_token = false;
    // An error is for the reader of events to report.
    let _ = read_members(event.get(), |name, properties| {
        if name == "properties" {
            let _ = read_members(properties.text(), |name, _| has_token |= name == "token");
        }
    });
    has_token
}

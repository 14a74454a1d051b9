//! Binary mode: the attributes of an event are headers, and its data is the body.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT, pointer_to};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Head, Header};

/// The headers of attributes begin so.
const PREFIX: &str = "ce-";

/// Returns whether a request is in binary mode: with attributes in its headers, and under no media
/// type of an event.
pub(crate) fn is_binary(head: &Head<'_>) -> bool {
    let has_attributes = head.headers.iter().any(|header| header.name.starts_with(PREFIX));
    has_attributes && !head.media_type().starts_with("application/cloudevents")
}

/// Returns the JSON of the event in structured mode.
///
/// # Errors
/// [`ParseError`] with the names of headers as pointers, or for a body that is broken JSON.
pub(super) fn structured(head: &Head<'_>, body: &[u8]) -> Result<String, ParseError> {
    let mut event = String::with_capacity(body.len() + 512);
    let mut errors = Vec::new();
    let mut headers: Vec<_> =
        head.headers.iter().filter(|header| header.name.starts_with(PREFIX)).collect();
    // Servers hand headers over in no order; the same request makes the same event.
    headers.sort_by_key(|header| header.name);
    let mut previous = "";
    for header in headers {
        let is_repeated = header.name == previous;
        previous = header.name;
        let name = &header.name[PREFIX.len()..];
        match attribute(name, header, is_repeated) {
            Ok(value) => push_member(&mut event, name, &quoted(&value)),
            Err(Invalid(code, predicate)) if errors.len() < MAX_ERRORS_PER_EVENT => {
                let message = format!("{} {predicate}", header.name);
                errors.push(FieldError::new(pointer_to("", header.name), code, message));
            }
            Err(_) => {}
        }
    }
    if !errors.is_empty() {
        return Err(ParseError::Shape(errors));
    }
    if let Some(content_type) = head.header("content-type") {
        push_member(&mut event, "datacontenttype", &quoted(content_type));
    }
    push_data(&mut event, &head.media_type(), body)?;
    event.push('}');
    Ok(event)
}

/// An attribute that no event can have: the predicate of a message about its header.
struct Invalid(FieldErrorCode, &'static str);

/// Returns the value of the attribute `name`.
fn attribute(name: &str, header: &Header<'_>, is_repeated: bool) -> Result<String, Invalid> {
    if is_repeated {
        return Err(Invalid(FieldErrorCode::DuplicateField, "appears twice"));
    }
    let instead = match name {
        "data" | "data_base64" => Some("is not an attribute; send the data as the body"),
        "datacontenttype" => Some("has no place in HTTP; send Content-Type"),
        _ => None,
    };
    if let Some(predicate) = instead {
        return Err(Invalid(FieldErrorCode::UnknownField, predicate));
    }
    // Node writes the characters up to U+00FF as one byte each, without an encoding of the binding.
    let text = match std::str::from_utf8(header.value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => header.value.iter().copied().map(char::from).collect(),
    };
    let text = unquoted(text.trim_ascii());
    let Ok(text) = percent_decode_str(&text).decode_utf8() else {
        let predicate = "has percent-encoded bytes that are not UTF-8";
        return Err(Invalid(FieldErrorCode::InvalidValue, predicate));
    };
    if text.contains('\0') {
        return Err(Invalid(FieldErrorCode::NulCharacter, "has the character U+0000; remove it"));
    }
    Ok(text.into_owned())
}

/// Takes a value out of its quotes, as early versions of the binding write it.
fn unquoted(text: &str) -> Cow<'_, str> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let Some(inner) = inner else { return text.into() };
    let mut unquoted = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let is_escape = character == '\\';
        unquoted.extend(if is_escape { characters.next() } else { Some(character) });
    }
    unquoted.into()
}

/// Adds the body as `data`, or as `data_base64` if it is no text.
fn push_data(event: &mut String, media_type: &str, body: &[u8]) -> Result<(), ParseError> {
    if body.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(body).ok();
    if let Some(text) = text.filter(|_| is_json(media_type)) {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        match serde_json::from_str::<&RawValue>(text) {
            Ok(json) => {
                push_member(event, "data", json.get());
                return Ok(());
            }
            // Clients send plain texts under the type of JSON, but no broken objects.
            Err(error) if text.trim_ascii_start().starts_with(['{', '[']) => {
                return Err(error.into());
            }
            Err(_) => {}
        }
    }
    match text.filter(|text| media_type != "application/octet-stream" && is_printable(text)) {
        Some(text) => push_member(event, "data", &quoted(text)),
        None => push_member(event, "data_base64", &format!("\"{}\"", STANDARD.encode(body))),
    }
    Ok(())
}

/// Returns whether data of this type is JSON, as data without a type is.
fn is_json(media_type: &str) -> bool {
    media_type.is_empty() || media_type.rsplit(['/', '+']).next() == Some("json")
}

/// Returns whether a text has no control characters but those of a layout. JSON writes each in six
/// bytes.
fn is_printable(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_control() && !b"\t\n\r".contains(&byte))
}

fn push_member(object: &mut String, name: &str, json: &str) {
    object.push(if object.is_empty() { '{' } else { ',' });
    for part in [&quoted(name), ":", json] {
        object.push_str(part);
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

//! Bodies that hold their JSON in a shell: a web form, and Base64.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::FieldErrorCode;
use percent_encoding::percent_decode;

use crate::envelope::shape;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns the decoded value of a member of a web form. `None` for a body without it.
///
/// # Errors
/// [`ParseError`] if the member appears twice.
pub(crate) fn form_value<'a>(
    body: &'a [u8],
    name: &str,
) -> Result<Option<Cow<'a, [u8]>>, ParseError> {
    let mut values = body.split(|byte| *byte == b'&').filter_map(|part| value_of(part, name));
    let first = values.next();
    if values.next().is_some() {
        let message = format!("{name} appears twice");
        return Err(shape(&format!("/{name}"), FieldErrorCode::DuplicateField, message));
    }
    Ok(first.map(decoded))
}

/// Returns the value in a member `name=value` as sent.
fn value_of<'a>(member: &'a [u8], name: &str) -> Option<&'a [u8]> {
    member.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

fn decoded(value: &[u8]) -> Cow<'_, [u8]> {
    if value.contains(&b'+') {
        let spaced: Vec<u8> =
            value.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        return percent_decode(&spaced).collect::<Vec<u8>>().into();
    }
    percent_decode(value).into()
}

/// Decodes Base64 of either alphabet, with spaces in place of plus signs if a form lost them.
///
/// # Errors
/// [`ParseError::Malformed`] at the first byte of another kind.
pub(crate) fn base64(text: &[u8]) -> Result<Vec<u8>, ParseError> {
    let mut restored = Cow::Borrowed(text);
    if text.iter().any(|byte| matches!(byte, b' ' | b'-' | b'_')) {
        for byte in restored.to_mut() {
            match byte {
                b' ' | b'-' => *byte = b'+',
                b'_' => *byte = b'/',
                _ => {}
            }
        }
    }
    BASE64.decode(&*restored).map_err(|error| ParseError::Malformed {
        line: 1,
        column: 1 + position(error, text.len()),
        message: "the text is not Base64".to_owned(),
    })
}

fn position(error: base64::DecodeError, length: usize) -> usize {
    match error {
        base64::DecodeError::InvalidByte(offset, _)
        | base64::DecodeError::InvalidLastSymbol(offset, _) => offset,
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_of_a_form_is_decoded() {
        for (body, expected) in [
            (&b"data=a%2Bb+c%3D&verbose=1"[..], Some(&b"a+b c="[..])),
            (b"ip=0&data=abc", Some(b"abc")),
            (b"data=", Some(b"")),
            (b"data=%ff%zz", Some(b"\xff%zz")),
            (b"metadata=1&Data=2&data", None),
            (b"", None),
        ] {
            assert_eq!(form_value(body, "data").unwrap().as_deref(), expected, "{body:?}");
        }
        let twice = form_value(b"data=1&x=2&data=3", "data");
        assert!(matches!(twice, Err(ParseError::Shape(errors)) if errors[0].pointer == "/data"));
    }

    #[test]
    fn base64_is_decoded_with_and_without_padding() {
        for text in ["eyJhIjoiPz8/In0=", "eyJhIjoiPz8/In0"] {
            assert_eq!(base64(text.as_bytes()).unwrap(), b"{\"a\":\"???\"}", "{text}");
        }
        assert_eq!(base64(b"a +-").unwrap(), base64(b"a+++").unwrap());
        assert_eq!(base64(b"__8").unwrap(), base64(b"//8=").unwrap());
        assert_eq!(base64(b"").unwrap(), b"");
        for (text, column) in [("eyJ!", 4), ("eyJhI", 6), ("{}", 1)] {
            let error = base64(text.as_bytes()).unwrap_err();
            assert!(
                matches!(error, ParseError::Malformed { line: 1, column: found, .. } if found == column),
                "{error:?}"
            );
        }
    }
}

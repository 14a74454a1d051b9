//! Texts of JSON strings.

use std::borrow::Cow;

/// Why a JSON value is not a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotText {
    /// Another type.
    WrongType,
    /// Half a surrogate pair: it has no UTF-8 form.
    LoneSurrogate,
}

/// Returns the text of a JSON string: a slice of it unless it has escapes.
///
/// # Errors
/// [`NotText`].
pub fn text_of(value: &str) -> Result<Cow<'_, str>, NotText> {
    let inner = value.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let inner = inner.ok_or(NotText::WrongType)?;
    if !inner.contains('\\') {
        return Ok(inner.into());
    }
    // The syntax is valid already, so only a lone surrogate can fail.
    serde_json::from_str::<String>(value).map(Cow::Owned).map_err(|_| NotText::LoneSurrogate)
}

//! Notices: a duplicate or a rejected event, as tails show it. Their size is bounded, so that one fits
//! into a text between servers.

use std::borrow::Cow;

use mercurio_domain::verdict::FieldError;
use mercurio_domain::{Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

/// Maximum bytes of a name or id of a valid event, in JSON: 255 characters of up to 4 bytes.
const MAX_TEXT_BYTES: usize = 1_024;
/// Maximum bytes of a pointer or message of an error, in JSON.
const MAX_ERROR_TEXT_BYTES: usize = 600;
/// Maximum bytes of all errors, in JSON.
const MAX_ERRORS_BYTES: usize = 2_400;

/// The verdict of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeStatus {
    /// The database holds an event with this id; nothing was stored.
    Duplicate,
    /// Invalid; nothing was stored.
    Rejected,
}

impl NoticeStatus {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
        }
    }
}

/// A duplicate or a rejected event. Serializes to the data of a message. Long texts are cut, and end
/// in `…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The verdict.
    pub status: NoticeStatus,
    /// The id. `None`: a rejected event without a valid one.
    pub event_id: Option<String>,
    /// The name, if one could be read.
    pub event_name: Option<String>,
    /// The type, if one could be read.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The person, if one could be read.
    pub user_id: Option<String>,
    /// Like `user_id`.
    pub anonymous_id: Option<String>,
    /// The workspace that holds the id, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_in: Option<WorkspaceId>,
    /// Why the event was rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<NoticeError>,
    /// Errors left out for their size.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub errors_omitted: usize,
    /// Time of receipt of the request.
    pub received_at: Timestamp,
    /// `X-Request-Id` of the response.
    pub request_id: String,
    /// The protocol it was sent in, such as `segment`; `mercurio` for this server's own.
    pub protocol: Cow<'static, str>,
}

/// An error of a rejected event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeError {
    /// JSON pointer (RFC 6901) into the body as sent.
    pub pointer: String,
    /// The kind of error. A newer server may know others than this one.
    pub code: String,
    /// The error, for people.
    pub message: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Notice {
    /// Cuts a text of an event, which may be of any size in a rejected one.
    #[must_use]
    pub fn text(text: &str) -> String {
        cut(text, MAX_TEXT_BYTES)
    }

    /// Returns the errors that fit, and the number of the others.
    #[must_use]
    pub fn errors_of(errors: &[FieldError]) -> (Vec<NoticeError>, usize) {
        let (mut kept, mut bytes) = (Vec::new(), 0);
        for error in errors {
            let error = NoticeError {
                pointer: cut(&error.pointer, MAX_ERROR_TEXT_BYTES),
                code: error.code.as_str().to_owned(),
                message: cut(&error.message, MAX_ERROR_TEXT_BYTES),
            };
            bytes += serde_json::to_string(&error).map_or(0, |json| json.len() + 1);
            if bytes > MAX_ERRORS_BYTES {
                break;
            }
            kept.push(error);
        }
        let omitted = errors.len() - kept.len();
        (kept, omitted)
    }
}

/// Returns the beginning of `text` with at most `max` bytes in JSON.
fn cut(text: &str, max: usize) -> String {
    const MARK: char = '…';
    let (mut bytes, mut fitting) = (0, 0);
    for (start, character) in text.char_indices() {
        bytes += match character {
            '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        if bytes > max {
            let mut cut = text[..fitting].to_owned();
            cut.push(MARK);
            return cut;
        }
        if bytes + MARK.len_utf8() <= max {
            fitting = start + character.len_utf8();
        }
    }
    text.to_owned()
}

#[cfg(test)]
pub(super) fn sample(event_id: &str) -> Notice {
    Notice {
        status: NoticeStatus::Rejected,
        event_id: Some(event_id.to_owned()),
        event_name: Some("signed_up".to_owned()),
        kind: Some("track".to_owned()),
        user_id: Some("u".to_owned()),
        anonymous_id: None,
        duplicate_in: None,
        errors: Vec::new(),
        errors_omitted: 0,
        received_at: mercurio_domain::testing::at("2026-11-22T10:00:00Z"),
        request_id: "r".to_owned(),
        protocol: "mercurio".into(),
    }
}

#[cfg(test)]
mod tests {
    use mercurio_domain::store::MAX_TAIL_TEXT_BYTES;
    use mercurio_domain::verdict::FieldErrorCode;

    use super::*;

    #[test]
    fn text_is_cut_by_its_bytes_in_json() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("shorter", 5), "sh…");
        for text in ["x".repeat(5_000), "é".repeat(5_000), "\u{1}\"".repeat(5_000)] {
            let json = serde_json::to_string(&Notice::text(&text)).unwrap();
            assert!((MAX_TEXT_BYTES - 10..=MAX_TEXT_BYTES + 2).contains(&json.len()), "{json}");
        }
    }

    #[test]
    fn largest_notice_fits_into_a_text() {
        let errors: Vec<_> = (0..20)
            .map(|_| {
                let pointer = format!("/{}", "\0".repeat(10_000));
                FieldError::new(pointer, FieldErrorCode::UnknownField, "é".repeat(10_000))
            })
            .collect();
        let (kept, omitted) = Notice::errors_of(&errors);
        assert!(!kept.is_empty() && kept.len() + omitted == errors.len());
        let hostile = Some(Notice::text(&"\0".repeat(10_000)));
        let notice = Notice {
            event_name: hostile.clone(),
            kind: hostile.clone(),
            user_id: hostile.clone(),
            anonymous_id: hostile,
            errors: kept,
            errors_omitted: omitted,
            request_id: "r".repeat(128),
            ..sample(&"\u{10348}".repeat(100))
        };
        let json = serde_json::to_string(&notice).unwrap();
        // The rest is for the names of the servers and of the workspace.
        assert!(json.len() < MAX_TAIL_TEXT_BYTES - 200, "{}", json.len());
        assert_eq!(serde_json::from_str::<Notice>(&json).unwrap(), notice);
    }
}

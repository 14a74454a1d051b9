//! The `detail` about a body of the wrong kind: what it looks like, and where or how to send it.
//!
//! Decided by the first bytes, the position of the error and the names in the errors, after the body
//! was refused. No detail repeats a part of the body.

use std::borrow::Cow;

use mercurio_domain::hints::{Meant, is_json_in_string, meant_in_batch, meant_in_event};
use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use mercurio_protocols::Form;

/// The kind of body that a path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Event,
    Batch,
    /// Events in the form of another service.
    Foreign(Form),
}

impl Expected {
    fn example(self) -> &'static str {
        match self {
            Self::Event => r#"{"event_name": "signed_up", "user_id": "u-42"}"#,
            Self::Batch => r#"{"events": [{"event_name": "signed_up", "user_id": "u-42"}]}"#,
            Self::Foreign(form) => form.example(),
        }
    }
}

/// The place of an error in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// From 1.
    pub(crate) line: usize,
    /// Byte in the line, from 1. If the body ends early, one more than the line has.
    pub(crate) column: usize,
}

/// A refused body.
#[derive(Clone, Copy)]
pub(crate) struct BodyHints<'a> {
    expected: Expected,
    body: &'a [u8],
}

impl<'a> BodyHints<'a> {
    pub(crate) fn new(expected: Expected, body: &'a [u8]) -> Self {
        Self { expected, body }
    }

    /// Returns the position of an error as people count: the parser counts a line break as byte 0
    /// of the next line.
    pub(crate) fn position(self, line: usize, column: usize) -> Position {
        let before = line.checked_sub(2).and_then(|line| self.lines().nth(line));
        match before {
            Some(before) if column == 0 => Position { line: line - 1, column: before.len() },
            _ => Position { line, column: column.max(1) },
        }
    }

    /// The lines of the body, with their line breaks.
    fn lines(self) -> impl Iterator<Item = &'a [u8]> {
        self.body.split_inclusive(|byte| *byte == b'\n')
    }

    /// Returns the detail about a body that is not JSON, from the parser's message.
    pub(crate) fn of_malformed(self, position: Position, message: &str) -> String {
        if self.body.trim_ascii().is_empty() {
            return format!("The body is empty; send JSON such as {}.", self.expected.example());
        }
        let start = self.offset(position);
        let (before, rest) = self.body.split_at(start);
        let hint = self.look_alike().or_else(|| foreign_word(rest)).map(Cow::Borrowed);
        let hint = hint.or_else(|| {
            let is_followed = message.starts_with("trailing characters");
            // The first value was read: more of them follow.
            if is_followed {
                Some(self.several_values())
            } else {
                let hint = line_break(message, rest).or_else(|| last_comma(before, rest));
                hint.map(Cow::Borrowed)
            }
        });
        let hint = hint.map(|hint| format!(" {hint}")).unwrap_or_default();
        let Position { line, column } = position;
        format!("The body is not JSON: {message} at line {line}, column {column}.{hint}")
    }

    /// Returns what the beginning of the body looks like; `None` if it looks like JSON.
    fn look_alike(self) -> Option<&'static str> {
        let body = self.body;
        if body.starts_with(&[0x1f, 0x8b]) {
            return Some("It is compressed with gzip; add the header Content-Encoding: gzip.");
        }
        if body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            return Some("It is compressed with zstd; add the header Content-Encoding: zstd.");
        }
        if body.starts_with(&[0xff, 0xfe]) || body.starts_with(&[0xfe, 0xff]) || has_nul(body) {
            return Some("It looks like UTF-16; send UTF-8.");
        }
        let text = body.trim_ascii_start();
        if text.starts_with(b"[object ") {
            return Some("It is the name of a JavaScript object; send JSON.stringify(object).");
        }
        if text.starts_with(b"{{") {
            return Some(TEMPLATE);
        }
        let (first, rest) = text.split_first()?;
        match first {
            b'<' => Some("It looks like XML or HTML."),
            b'@' => Some("It looks like the name of a file; curl -d @FILE sends the content."),
            b'-' if rest.starts_with(b"-") => Some("It looks like a multipart form."),
            b'{' | b'[' => look_alike_object(rest),
            _ if is_form(text) => Some("It looks like a form (name=value)."),
            _ => None,
        }
    }

    fn several_values(self) -> Cow<'static, str> {
        match self.expected {
            Expected::Event => {
                "Send one event, or several as {\"events\": [ … ]} to POST /v1/events/batch.".into()
            }
            Expected::Batch => "Send one object with all events: {\"events\": [ … ]}.".into(),
            Expected::Foreign(form) => format!("Send one value such as {}.", form.example()).into(),
        }
    }

    fn offset(self, Position { line, column }: Position) -> usize {
        let before: usize = self.lines().take(line.saturating_sub(1)).map(<[u8]>::len).sum();
        (before + column.saturating_sub(1)).min(self.body.len())
    }

    /// Returns the detail about JSON of the wrong form for its path, or with an invalid event.
    pub(crate) fn of_errors(self, errors: &[FieldError]) -> Cow<'static, str> {
        let text = std::str::from_utf8(self.body).unwrap_or_default();
        let text = text.trim_start_matches('\u{FEFF}').trim_start();
        let detail = match self.expected {
            _ if is_json_in_string(text) => {
                "The body is a string that holds JSON: it was encoded twice. Send the object itself."
            }
            Expected::Event if text.starts_with('[') => {
                "The body is an array; send several events as {\"events\": [ … ]} to POST /v1/events/batch."
            }
            Expected::Batch if text.starts_with('[') => {
                "The body is an array; wrap it: {\"events\": [ … ]}."
            }
            Expected::Foreign(form) => {
                // Most clients show nothing else of the answer.
                let first = errors.first().map(|error| error.message.as_ref());
                let first = first.unwrap_or("see errors");
                return format!("The body is not valid: {first}. A valid one: {}", form.example())
                    .into();
            }
            _ if !text.starts_with('{') => "The body is not an object; see errors.",
            Expected::Event if has_unknown(errors, meant_in_event, Meant::Events) => {
                "The body looks like a batch; send a batch to POST /v1/events/batch."
            }
            Expected::Event => "The event is invalid; see errors.",
            Expected::Batch if is_single_event(errors) => {
                "The body looks like a single event; send it to POST /v1/events/track, or as {\"events\": [ … ]}."
            }
            Expected::Batch => "The body is not a valid batch; see errors.",
        };
        detail.into()
    }
}

fn has_nul(body: &[u8]) -> bool {
    body.iter().take(2).any(|byte| *byte == 0)
}

/// Looks at the text after the first brace or bracket.
fn look_alike_object(rest: &[u8]) -> Option<&'static str> {
    let skipped = |byte: &&u8| byte.is_ascii_whitespace() || matches!(byte, b'{' | b'[');
    let first = rest.iter().find(|byte| !skipped(byte))?;
    match first {
        b'\'' => Some("Names and texts need double quotes; json.dumps of Python writes them."),
        b'\\' => Some("Its quotes are escaped once too often."),
        b'$' | b'%' => Some(TEMPLATE),
        byte if byte.is_ascii_alphabetic() && !begins_value(rest) => {
            Some("Names need double quotes; in a shell, put the body into single quotes.")
        }
        _ => None,
    }
}

/// Whether an array begins with `true`, `false` or `null`.
fn begins_value(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    [&b"true"[..], b"false", b"null"].iter().any(|word| rest.starts_with(word))
}

/// Whether a text begins with a name and `=`, as a form does.
fn is_form(text: &[u8]) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.%+[]$".contains(&byte);
    let length = text.iter().take_while(|byte| is_name(**byte)).count();
    length > 0 && text.get(length) == Some(&b'=')
}

/// Names the value of another language at the position of an error.
fn foreign_word(rest: &[u8]) -> Option<&'static str> {
    let words = [
        ("NaN", NO_NUMBER),
        ("Infinity", NO_NUMBER),
        ("-Infinity", NO_NUMBER),
        ("None", IN_LOWER_CASE),
        ("True", IN_LOWER_CASE),
        ("False", IN_LOWER_CASE),
        ("undefined", "undefined is not JSON; use null, or leave the field out."),
    ];
    let found = words.iter().find(|(word, _)| rest.starts_with(word.as_bytes()))?;
    Some(found.1)
}

/// Recognises a line break in a string.
fn line_break(message: &str, rest: &[u8]) -> Option<&'static str> {
    // serde_json reports the break, or the byte before.
    let has_break = rest.iter().take(2).any(|byte| matches!(byte, b'\r' | b'\n'));
    let is_break = has_break && message.starts_with("control character");
    is_break.then_some("Write a line break in a string as \\n.")
}

/// Recognises a comma after the last member or element.
fn last_comma(before: &[u8], rest: &[u8]) -> Option<&'static str> {
    let is_last = matches!(rest.first(), Some(b'}' | b']'));
    let comma = is_last && before.trim_ascii_end().ends_with(b",");
    comma.then_some("Remove the comma before the closing bracket.")
}

const TEMPLATE: &str = "It looks like a template; fill in its variables.";
const NO_NUMBER: &str = "NaN and Infinity are not JSON; use null, or leave the field out.";
const IN_LOWER_CASE: &str = "JSON has null, true and false, in lower case.";

/// Whether an unknown member of the body has a meaning.
fn has_unknown(errors: &[FieldError], meaning: fn(&str) -> Option<Meant>, expected: Meant) -> bool {
    let mut unknown = errors.iter().filter(|error| error.code == FieldErrorCode::UnknownField);
    unknown.any(|error| {
        let name = error.pointer.strip_prefix('/').unwrap_or_default();
        meaning(name) == Some(expected)
    })
}

fn is_single_event(errors: &[FieldError]) -> bool {
    let mut errors_of_events = errors.iter().filter(|error| error.pointer == "/events");
    let is_missing = errors_of_events.any(|error| error.code == FieldErrorCode::Required);
    is_missing
        && has_unknown(errors, meant_in_batch, Meant::EventMember)
        && !has_unknown(errors, meant_in_batch, Meant::Events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mercurio_domain::request::ParseError;
    use mercurio_pipeline::parse;

    #[track_caller]
    fn check_malformed(body: &[u8], expected: &str) {
        let parsed = parse::source(body).and_then(|source| parse::single(&source).map(|_| ()));
        let Err(ParseError::Malformed { line, column, message }) = parsed else {
            panic!("{parsed:?}")
        };
        let hints = BodyHints::new(Expected::Event, body);
        let detail = hints.of_malformed(hints.position(line, column), &message);
        assert!(detail.ends_with(expected), "{detail}");
    }

    #[test]
    fn body_that_is_not_json_is_recognised() {
        let quotes = "Names need double quotes; in a shell, put the body into single quotes.";
        let several = "Send one event, or several as {\"events\": [ … ]} to POST /v1/events/batch.";
        for (body, expected) in [
            (&b"\x1f\x8b\x08\x00"[..], "add the header Content-Encoding: gzip."),
            (b"\x28\xb5\x2f\xfd\x04", "add the header Content-Encoding: zstd."),
            (b"\xff\xfe{\0}\0", "It looks like UTF-16; send UTF-8."),
            (b"{\0}\0", "It looks like UTF-16; send UTF-8."),
            (b"event=signup&user_id=u", "It looks like a form (name=value)."),
            (b"data%5B0%5D=x", "It looks like a form (name=value)."),
            (b"--x\r\nContent-Disposition: form-data", "It looks like a multipart form."),
            (b"<event/>", "It looks like XML or HTML."),
            (b"@event.json", "curl -d @FILE sends the content."),
            (b"[object Object]", "send JSON.stringify(object)."),
            (b"{'event_name': 'x'}", "json.dumps of Python writes them."),
            (b"{\\\"event_name\\\":1}", "Its quotes are escaped once too often."),
            (b"{event_name:x}", quotes),
            (
                b"{ \"events\": [ { } ] ",
                "the body ends early while parsing an object at line 1, column 21.",
            ),
            (b"{\"a\nb\":1}", "at line 1, column 3. Write a line break in a string as \\n."),
            (b"{\"a\":1\n", "the body ends early while parsing an object at line 2, column 1."),
            (b"{\"a\":\"x\ny\"}", "at line 1, column 7. Write a line break in a string as \\n."),
            (b"[{event_name:x}]", quotes),
            (b"{{ body }}", TEMPLATE),
            (b"{$body}", TEMPLATE),
            (b"{\"a\":1}\n{\"a\":2}", several),
            (b"{\"a\":1},{\"a\":2}", several),
            (b"{\"a\":NaN}", NO_NUMBER),
            (b"{\"a\":\n -Infinity}", NO_NUMBER),
            (b"{\"a\":True}", IN_LOWER_CASE),
            (b"{\"a\":undefined}", "use null, or leave the field out."),
            (b"[true,x]", "at line 1, column 7."),
            (b"{\"a\":1,}", "at line 1, column 8. Remove the comma before the closing bracket."),
            (
                b"{\"a\":\n[1, ]}",
                "at line 2, column 5. Remove the comma before the closing bracket.",
            ),
        ] {
            check_malformed(body, expected);
        }
    }

    #[test]
    fn empty_body_gets_an_example() {
        for body in ["", " \n"] {
            let hints = BodyHints::new(Expected::Batch, body.as_bytes());
            assert_eq!(
                hints.of_malformed(
                    hints.position(1, 1),
                    "the body ends early while parsing a value"
                ),
                "The body is empty; send JSON such as {\"events\": [{\"event_name\": \"signed_up\", \"user_id\": \"u-42\"}]}."
            );
        }
    }

    #[test]
    fn example_is_valid() {
        let event = Expected::Event.example();
        assert!(parse::single(event).unwrap()[0].errors.is_empty());
        let batch = parse::batch(Expected::Batch.example(), &Default::default()).unwrap();
        assert!(batch.len() == 1 && batch[0].errors.is_empty());
    }
}

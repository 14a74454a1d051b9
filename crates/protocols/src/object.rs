//! A JSON object of a foreign body: the members with a place in an event, its key, and the rest.

use std::borrow::Cow;

use mercurio_domain::EventId;
use mercurio_domain::event::Pointer;
use mercurio_domain::hints::unix_time_unit;
use mercurio_domain::payload::{
    self, JsonMembers, JsonSlice, NotText, ObjectText, RawJson, Scanner, read_members,
    scan_members, text_of, type_of,
};
use mercurio_domain::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT, pointer_to};

use crate::BodyKey;

/// Maximum members with a place in an event, of one protocol.
const MAX_PARTS: usize = 24;

/// A member with a place in an event: one enum for each kind of object.
pub(crate) trait Part: Copy + PartialEq + 'static {
    /// Every part, in the order of the enum.
    const ALL: &'static [Self];

    /// The name of the member.
    fn name(self) -> &'static str;

    /// The index in [`Part::ALL`].
    fn index(self) -> usize;

    /// Whether the rest keeps the member too, because its place in the event depends on others.
    fn is_kept(self) -> bool {
        false
    }

    /// Whether the value is a time, for the message about a number.
    fn is_time(self) -> bool {
        false
    }

    /// Whether a member of this name holds an API key.
    fn is_key(name: &str) -> bool;

    /// Whether a member holds an API key, for a name with other values too.
    fn holds_key(name: &str, _: &str) -> bool {
        Self::is_key(name)
    }
}

/// A foreign object: slices of the body by part.
pub(crate) struct Object<'a, P> {
    /// The object in its request, from 0.
    pub(crate) index: usize,
    /// Position in the body.
    pub(crate) pointer: Pointer,
    /// The object as sent.
    pub(crate) text: &'a str,
    /// The key in the object.
    pub(crate) key: BodyKey<'a>,
    /// The other members, as they come: neither null nor empty.
    pub(crate) rest: ObjectText,
    /// Errors so far.
    pub(crate) errors: Vec<FieldError>,
    parts: [Option<JsonSlice<'a>>; MAX_PARTS],
    of: std::marker::PhantomData<P>,
}

impl<'a, P: Part> Object<'a, P> {
    pub(crate) fn new(index: usize, pointer: Pointer) -> Self {
        const { assert!(P::ALL.len() <= MAX_PARTS) };
        Self {
            index,
            pointer,
            text: "",
            key: BodyKey::Missing,
            rest: ObjectText::default(),
            errors: Vec::new(),
            parts: [None; MAX_PARTS],
            of: std::marker::PhantomData,
        }
    }

    /// Reads the object at the scanner. `None`: use [`Self::read`] on a new object.
    pub(crate) fn scan(&mut self, body: &'a str, scanner: &mut Scanner<'a>) -> Option<()> {
        self.text = scan_members(body, scanner, |name, value| self.add(name, value))?;
        Some(())
    }

    /// Reads `text`, one JSON value. `what` names the object in an error.
    pub(crate) fn read(&mut self, text: &'a str, what: &str) {
        self.text = text;
        if !text.starts_with('{') {
            let message = format!("{what} is {}; an object is expected", type_of(text));
            return self.add_error(self.pointer.to_string(), FieldErrorCode::WrongType, message);
        }
        if read_members(text, |name, value| self.add(&name, value)).is_err() {
            let message = "a field name contains a lone surrogate, which is not a character";
            let pointer = self.pointer.to_string();
            self.add_error(pointer, FieldErrorCode::LoneSurrogate, message);
        }
    }

    fn add(&mut self, name: &str, value: JsonSlice<'a>) {
        // `null` equals a missing member: clients send it for everything absent.
        if value.text() == "null" {
            return;
        }
        if P::holds_key(name, value.text()) {
            return self.key.add(value.text());
        }
        let part = P::ALL.iter().copied().find(|part| part.name() == name);
        if part.is_none_or(P::is_kept) {
            self.keep(name, value);
        }
        let Some(part) = part else { return };
        let slot = &mut self.parts[part.index()];
        if slot.is_none() {
            *slot = Some(value);
        } else {
            // The first value stays. Taking the last one would hide the mistake.
            let message = format!("{name} appears twice");
            self.add_error(self.pointer_to(name), FieldErrorCode::DuplicateField, message);
        }
    }

    /// Puts a member into the rest, unless it is null or empty.
    pub(crate) fn keep(&mut self, name: &str, value: JsonSlice<'_>) {
        if matches!(value.text(), "null" | "\"\"" | "{}" | "[]") || self.rest.add(name, value) {
            return;
        }
        let before = self.errors.len();
        payload::add_errors(value, self.pointer_to(name), &mut self.errors);
        if self.errors.len() == before {
            let message = "the field cannot be kept in the context: its name has characters to escape, or it is \
                           nested too deep";
            self.add_error(self.pointer_to(name), FieldErrorCode::TooDeep, message);
        }
    }

    /// Puts a member into the rest, without the members of its value that `leaves_out` accepts.
    pub(crate) fn keep_without(
        &mut self,
        name: &str,
        value: JsonSlice<'_>,
        leaves_out: impl Fn(&str) -> bool,
    ) {
        let left = RawJson::without(value, leaves_out);
        // The whole value of one with too many levels has all its errors.
        self.keep(name, Scanner::new(left.get()).value().unwrap_or(value));
    }

    pub(crate) fn part(&self, part: P) -> Option<JsonSlice<'a>> {
        self.parts[part.index()]
    }

    /// Returns a text. An empty one counts as left out, any other value as an error.
    pub(crate) fn text(&mut self, part: P) -> Option<Cow<'a, str>> {
        let value = self.part(part)?;
        let (code, problem) = match text_of(value.text()) {
            Ok(text) => return Some(text).filter(|text| !text.is_empty()),
            Err(NotText::WrongType) => {
                (FieldErrorCode::WrongType, not_a_string(part.is_time(), value.text()))
            }
            Err(NotText::LoneSurrogate) => {
                let problem = "contains a lone surrogate, which is not a character";
                (FieldErrorCode::LoneSurrogate, problem.to_owned())
            }
        };
        self.add_error(self.pointer_to(part.name()), code, format!("{} {problem}", part.name()));
        None
    }

    /// Returns an id. Clients in languages without types send numbers too.
    pub(crate) fn id(&mut self, part: P) -> Option<Cow<'a, str>> {
        let value = self.part(part)?.text();
        if is_number(value) { Some(value.into()) } else { self.text(part) }
    }

    /// Returns the id of an object without one: the same for the same object sent again. `ignored`
    /// are the parts that each try changes, such as the time of sending.
    pub(crate) fn id_of_content(&self, scheme: &str, ignored: &[P]) -> EventId {
        let index = (self.index as u64).to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&index];
        for part in P::ALL.iter().filter(|part| !ignored.contains(part)) {
            parts.push(self.part(*part).map_or(&[], |value| value.text().as_bytes()));
        }
        parts.push(self.rest.members().as_bytes());
        EventId::of_content(scheme, &parts)
    }

    pub(crate) fn pointer_to(&self, name: &str) -> String {
        pointer_to(&self.pointer.to_string(), name)
    }

    pub(crate) fn add_error(
        &mut self,
        pointer: String,
        code: FieldErrorCode,
        message: impl Into<Cow<'static, str>>,
    ) {
        if self.errors.len() < MAX_ERRORS_PER_EVENT {
            self.errors.push(FieldError::new(pointer, code, message));
        }
    }
}

/// Returns the predicate of a message about a value other than a string.
fn not_a_string(is_time: bool, json: &str) -> String {
    match unix_time_unit(json).filter(|_| is_time) {
        Some(unit) => format!(
            "is a number and looks like Unix time in {unit}; a string in RFC 3339 is expected, such as \
             \"2026-11-22T10:00:00.123Z\""
        ),
        None => format!("is {}; a string is expected", type_of(json)),
    }
}

/// Returns the value of a member, whose name has quotes.
pub(crate) fn member<'a>(object: JsonSlice<'a>, name: &str) -> Option<JsonSlice<'a>> {
    JsonMembers::of(object).find(|member| member.name == name).map(|member| member.value)
}

/// Returns a text that is not empty, or the digits of a number. The context keeps any other value.
pub(crate) fn text_or_number(value: JsonSlice<'_>) -> Option<Cow<'_, str>> {
    let value = value.text();
    if is_number(value) {
        return Some(value.into());
    }
    text_of(value).ok().filter(|text| !text.is_empty())
}

pub(crate) fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

//! A body that holds its objects in an array: `{"batch": [ … ], "sentAt": "…"}`.
//!
//! A well-formed body is read in one pass. Any other goes to `serde_json`, for every error and its
//! position.

use mercurio_domain::event::Pointer;
use mercurio_domain::payload::{JsonSlice, Scanner, read_members, type_of};
use mercurio_domain::request::{ParseError, events_of};
use mercurio_domain::verdict::{FieldError, FieldErrorCode};
use serde_json::value::RawValue;

use crate::BodyKey;
use crate::object::{Object, Part};

/// Size of a typical object: the list of a typical body need not grow.
const TYPICAL_BYTES: usize = 800;

/// Maximum other members with a meaning.
const MAX_OTHERS: usize = 4;

/// The form of such a body.
pub(crate) struct Array {
    /// The member with the array.
    pub(crate) name: &'static str,
    /// Its JSON pointer.
    pub(crate) pointer: &'static str,
    /// Names an object in a message: `the message`.
    pub(crate) object: &'static str,
    /// Other members with a meaning, at most [`MAX_OTHERS`]. All further ones have no effect.
    pub(crate) others: &'static [&'static str],
}

/// The content of such a body.
pub(crate) struct Envelope<'a, T> {
    /// One for each object, in their order.
    pub(crate) items: Vec<T>,
    /// The key of the body and of all objects.
    pub(crate) key: BodyKey<'a>,
    others: [Option<JsonSlice<'a>>; MAX_OTHERS],
}

impl<'a, T> Envelope<'a, T> {
    fn new() -> Self {
        Self { items: Vec::new(), key: BodyKey::Missing, others: [None; MAX_OTHERS] }
    }

    /// Returns the last value of `array.others[index]`.
    pub(crate) fn other(&self, index: usize) -> Option<JsonSlice<'a>> {
        self.others.get(index).copied().flatten()
    }

    fn add<P: Part>(&mut self, array: &Array, name: &str, value: JsonSlice<'a>) {
        if let Some(index) = array.others.iter().position(|other| *other == name) {
            self.others[index] = Some(value);
        } else if P::is_key(name) {
            self.key.add(value.text());
        }
    }

    fn add_object<P: Part>(
        &mut self,
        mut object: Object<'a, P>,
        finish: &mut impl FnMut(Object<'a, P>) -> T,
    ) {
        // Browsers repeat the key in each object.
        self.key.add_key(std::mem::take(&mut object.key));
        self.items.push(finish(object));
    }
}

/// Reads a body. `finish` turns each object into an item; it may be called again from the first
/// object on.
///
/// # Errors
/// [`ParseError`]. Errors in single objects are not among them.
pub(crate) fn read<'a, P: Part, T>(
    text: &'a str,
    array: &Array,
    max_events: usize,
    mut finish: impl FnMut(Object<'a, P>) -> T,
) -> Result<Envelope<'a, T>, ParseError> {
    debug_assert!(array.others.len() <= MAX_OTHERS);
    match scan(text, array, max_events, &mut finish) {
        Some(envelope) => Ok(envelope),
        None => read_slowly(text, array, max_events, &mut finish),
    }
}

fn object<'a, P: Part>(array: &Array, index: usize) -> Object<'a, P> {
    Object::new(index, Pointer::Item { array: array.pointer, index })
}

/// Reads a well-formed body in one pass. `None`: use [`read_slowly`].
pub(crate) fn scan<'a, P: Part, T>(
    text: &'a str,
    array: &Array,
    max_events: usize,
    finish: &mut impl FnMut(Object<'a, P>) -> T,
) -> Option<Envelope<'a, T>> {
    let mut scanner = Scanner::new(text);
    let mut envelope = Envelope::new();
    scanner.take(b'{')?;
    loop {
        let name = scanner.plain_string()?;
        scanner.take(b':')?;
        // A repeated member leaves this path, and the slow path reports it.
        if name == array.name && envelope.items.is_empty() {
            scanner.take(b'[')?;
            envelope.items.reserve((text.len() / TYPICAL_BYTES + 1).min(max_events));
            loop {
                // The slow path counts all objects for the error.
                if envelope.items.len() == max_events {
                    return None;
                }
                let mut object = object(array, envelope.items.len());
                object.scan(text, &mut scanner)?;
                envelope.add_object(object, finish);
                if !scanner.has_next(b']')? {
                    break;
                }
            }
        } else if name == array.name {
            return None;
        } else {
            envelope.add::<P>(array, name, scanner.value()?);
        }
        if !scanner.has_next(b'}')? {
            break;
        }
    }
    // A body without objects ends here too, and the slow path names what is missing.
    (!envelope.items.is_empty() && scanner.is_at_end()).then_some(envelope)
}

pub(crate) fn read_slowly<'a, P: Part, T>(
    text: &'a str,
    array: &Array,
    max_events: usize,
    finish: &mut impl FnMut(Object<'a, P>) -> T,
) -> Result<Envelope<'a, T>, ParseError> {
    // The whole syntax first: an error in it is the only one.
    let body: &RawValue = serde_json::from_str(text)?;
    if !body.get().starts_with('{') {
        let message = format!("the body is {}; an object is expected", type_of(body.get()));
        return Err(shape("", FieldErrorCode::WrongType, message));
    }
    let mut envelope = Envelope::new();
    let (mut first, mut count) = (None, 0);
    let members = read_members(body.get(), |name, value| {
        if name == array.name {
            count += 1;
            first.get_or_insert(value.text());
        } else {
            envelope.add::<P>(array, &name, value);
        }
    });
    if members.is_err() {
        let message = "a field name contains a lone surrogate, which is not a character";
        return Err(shape("", FieldErrorCode::LoneSurrogate, message.to_owned()));
    }
    let Array { name, pointer, object: what, .. } = array;
    let list = match (first, count) {
        (Some(list), 1) if list.starts_with('[') => list,
        (_, 2..) => {
            let message = format!("{name} appears twice");
            return Err(shape(pointer, FieldErrorCode::DuplicateField, message));
        }
        (Some(other), _) if other != "null" => {
            let message = format!("{name} is {}; an array is expected", type_of(other));
            return Err(shape(pointer, FieldErrorCode::WrongType, message));
        }
        _ => {
            let message = format!("{name} is required: an array of events");
            return Err(shape(pointer, FieldErrorCode::Required, message));
        }
    };
    for (index, text) in events_of(list, max_events)?.into_iter().enumerate() {
        let mut object = object(array, index);
        object.read(text, what);
        envelope.add_object(object, finish);
    }
    Ok(envelope)
}

/// Reads a body that is one object. `what` names it in a message.
///
/// # Errors
/// [`ParseError`] for a body that is not JSON. Any other error belongs to the object.
pub(crate) fn read_single<'a, P: Part>(
    text: &'a str,
    what: &str,
) -> Result<Object<'a, P>, ParseError> {
    match scan_single(text) {
        Some(object) => Ok(object),
        None => read_single_slowly(text, what),
    }
}

/// Reads a well-formed object in one pass. `None`: use [`read_single_slowly`].
pub(crate) fn scan_single<'a, P: Part>(text: &'a str) -> Option<Object<'a, P>> {
    let mut scanner = Scanner::new(text);
    let mut object = Object::new(0, Pointer::At(""));
    object.scan(text, &mut scanner)?;
    scanner.is_at_end().then_some(object)
}

pub(crate) fn read_single_slowly<'a, P: Part>(
    text: &'a str,
    what: &str,
) -> Result<Object<'a, P>, ParseError> {
    let body: &RawValue = serde_json::from_str(text)?;
    let mut object = Object::new(0, Pointer::At(""));
    object.read(body.get(), what);
    Ok(object)
}

pub(crate) fn shape(pointer: &str, code: FieldErrorCode, message: String) -> ParseError {
    ParseError::Shape(vec![FieldError::new(pointer, code, message)])
}

/// Returns whether a body is an object with this member. Members after it are not looked at.
pub(crate) fn has_member(body: &[u8], name: &str) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| find_member(text, name).is_some())
}

/// Ends at the member; `None` without it, or at an error before it.
fn find_member(text: &str, name: &str) -> Option<()> {
    let mut scanner = Scanner::new(text.strip_prefix('\u{FEFF}').unwrap_or(text));
    scanner.take(b'{')?;
    while scanner.plain_string()? != name {
        scanner.take(b':')?;
        scanner.value()?;
        scanner.has_next(b'}')?.then_some(())?;
    }
    Some(())
}

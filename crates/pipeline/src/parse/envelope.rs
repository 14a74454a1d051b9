//! The outer object of a batch, in one pass: the events stay slices, everything else is looked at.

use std::borrow::Cow;
use std::fmt;

use mercurio_domain::Timestamp;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, MAX_ERRORS_PER_EVENT, pointer_to};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{ParseError, malformed, sent_at};

/// What stands in the outer object, each event a slice of the body.
pub(super) struct RawEnvelope<'a> {
    pub(super) events: Vec<&'a RawValue>,
    pub(super) sent_at: Option<Timestamp>,
}

/// Reads the outer object of a batch of at most `max_events` events.
pub(super) fn read(text: &str, max_events: usize) -> Result<RawEnvelope<'_>, ParseError> {
    let mut members = Members { max_events, ..Members::default() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    if text.trim_start().starts_with('{') {
        deserializer.deserialize_map(&mut members).map_err(malformed)?;
    } else {
        let raw = <&RawValue>::deserialize(&mut deserializer).map_err(malformed)?;
        members.errors.push(wrong_type(
            "",
            "the body",
            mercurio_domain::payload::type_of(raw.get()),
            "an object",
        ));
    }
    deserializer.end().map_err(malformed)?;
    members.finish()
}

fn wrong_type(pointer: &str, what: &str, actual: &str, expected: &str) -> FieldError {
    FieldError::new(
        pointer,
        FieldErrorCode::WrongType,
        format!("{what} is {actual}; {expected} is expected"),
    )
}

#[derive(Default)]
struct Members<'a> {
    max_events: usize,
    events: Option<Events<'a>>,
    sent_at: Option<&'a RawValue>,
    errors: Vec<FieldError>,
}

impl<'a> Members<'a> {
    fn finish(mut self) -> Result<RawEnvelope<'a>, ParseError> {
        let sent_at = match self.sent_at.map(|raw| sent_at(raw.get())) {
            None => None,
            Some(Ok(sent_at)) => sent_at,
            Some(Err(fault)) => {
                self.errors.push(fault);
                None
            }
        };
        let events = match self.events {
            Some(Events::List { events, count }) => Some((events, count)),
            Some(Events::Other(actual)) => {
                self.errors.push(wrong_type("/events", "events", actual, "an array"));
                None
            }
            None if self.errors.iter().any(|fault| fault.pointer.is_empty()) => None,
            None => {
                self.errors.push(FieldError::new(
                    "/events",
                    FieldErrorCode::Required,
                    "events is required",
                ));
                None
            }
        };
        match events {
            Some((events, count)) if self.errors.is_empty() => match count {
                0 => Err(ParseError::BatchEmpty),
                actual if actual > self.max_events => {
                    Err(ParseError::BatchTooLarge { limit: self.max_events, actual })
                }
                _ => Ok(RawEnvelope { events, sent_at }),
            },
            _ => Err(ParseError::Shape(self.errors)),
        }
    }

    fn fault(&mut self, name: &str, code: FieldErrorCode, message: String) {
        if self.errors.len() < MAX_ERRORS_PER_EVENT {
            self.errors.push(FieldError::new(pointer_to("", name), code, message));
        }
    }
}

impl<'de> Visitor<'de> for &mut Members<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let is_events = name == "events";
            if (is_events && self.events.is_some()) || (name == "sent_at" && self.sent_at.is_some())
            {
                self.fault(&name, FieldErrorCode::DuplicateField, format!("{name} stands twice"));
                map.next_value::<IgnoredAny>()?;
            } else if is_events {
                self.events =
                    Some(map.next_value_seed(EventsSeed { max_events: self.max_events })?);
            } else if name == "sent_at" {
                self.sent_at = Some(map.next_value()?);
            } else {
                let shown: String = name.chars().take(64).collect();
                self.fault(
                    &name,
                    FieldErrorCode::UnknownField,
                    format!("{shown:?} is no member of a batch"),
                );
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The name of a member: borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }

        deserializer.deserialize_str(NameVisitor).map(Name)
    }
}

enum Events<'a> {
    /// The first events, as many as are allowed, and how many there are.
    List { events: Vec<&'a RawValue>, count: usize },
    /// No array: what it is.
    Other(&'static str),
}

struct EventsSeed {
    max_events: usize,
}

impl<'de> serde::de::DeserializeSeed<'de> for EventsSeed {
    type Value = Events<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EventsSeed {
    type Value = Events<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::with_capacity(self.max_events.min(64));
        while events.len() < self.max_events {
            match sequence.next_element()? {
                Some(event) => events.push(event),
                None => return Ok(Events::List { count: events.len(), events }),
            }
        }
        let mut count = events.len();
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Events::List { events, count })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Events::Other("an object"))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Events::Other("a string"))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Events::Other("a boolean"))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Events::Other("null"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Events::Other("a number"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Events::Other("a number"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Events::Other("a number"))
    }
}

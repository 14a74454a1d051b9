//! The result of parsing.

use std::fmt;

use mercurio_domain::Timestamp;
use mercurio_domain::event::EventDraft;
use mercurio_domain::verdict::FieldError;

/// The events of a request, in order.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// The events.
    pub items: Vec<Item<'a>>,
    /// Client time of sending.
    pub sent_at: Option<Timestamp>,
}

/// One event, before the rules of the domain.
#[derive(Debug)]
pub struct Item<'a> {
    /// Index in the request, from 0.
    pub index: usize,
    /// Position in the body.
    pub pointer: Pointer,
    /// The event as sent, without surrounding white space.
    pub text: &'a str,
    /// The members read so far.
    pub draft: EventDraft<'a>,
    /// Members of the wrong type, unknown members and repeated ones.
    pub errors: Vec<FieldError>,
}

/// Position of an event in the body. `Display` writes it as a JSON pointer, so that a valid event
/// needs no string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    /// The event is the body.
    Body,
    /// Index of the event in a batch, from 0.
    Event(usize),
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => Ok(()),
            Self::Event(index) => write!(f, "/events/{index}"),
        }
    }
}

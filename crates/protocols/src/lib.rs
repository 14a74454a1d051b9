//! Foreign protocols: the bodies of clients that were written for other services.
//!
//! Each protocol is a module with its paths ([`foreign_paths`]). A [`Form`] leads from a path to the
//! module: it reads a body into [`Item`]s, as the parser of this server's own API does, and phrases
//! the answer. [`Answer`] is the body that nearly all clients take for a success.
//!
//! Payloads stay slices of the body. What has no place in an event goes into its `context`, under
//! the name of the protocol. An API key in a body is returned, and never part of an event.
//!
//! Pure: no HTTP, no I/O, no clock. Errors point into the foreign body, by its own names.

mod amplitude;
mod answer;
mod cloudevents;
mod encoded;
mod endpoint;
mod envelope;
mod form;
mod head;
mod library;
mod list;
mod mixpanel;
mod named_keys;
mod object;
mod otlp;
mod paths;
mod posthog;
mod protocol;
mod reply;
mod secrets;
mod segment;
mod shape;
mod snowplow;
mod time;

use std::borrow::Cow;
use std::fmt;

use mercurio_domain::payload::text_of;
use mercurio_domain::request::Item;

pub use amplitude::AmplitudeForm;
pub use answer::Answer;
pub use cloudevents::{CloudEventsForm, OpenMeterForm};
pub use form::Form;
pub use head::{Head, Header};
pub use library::OTHER_LIBRARY;
pub use mixpanel::MixpanelForm;
pub use otlp::OtlpForm;
pub use paths::{ForeignPath, foreign_paths};
pub use posthog::PosthogForm;
pub use protocol::{InvalidProtocols, Protocol, ProtocolOptions, Protocols};
pub use reply::{Failure, FailureReply, Received, Reply};
pub use secrets::without_keys;
pub use segment::SegmentForm;
pub use shape::form_of;
pub use snowplow::SnowplowForm;

/// The content of a foreign body.
#[derive(Debug)]
pub struct ForeignRequest<'a> {
    /// The events, in the order of the body.
    pub items: Vec<Item<'a>>,
    /// The API key in the body.
    pub key: BodyKey<'a>,
    /// The library that sent it, one of a bounded number.
    pub library: &'static str,
}

/// The API key in a body.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum BodyKey<'a> {
    /// None, null or empty.
    #[default]
    Missing,
    /// This one.
    Text(Cow<'a, str>),
    /// Two different keys, or a value other than a text.
    Unclear,
}

impl fmt::Debug for BodyKey<'_> {
    /// Without the key: it stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "Missing",
            Self::Text(_) => "Text(***)",
            Self::Unclear => "Unclear",
        })
    }
}

impl<'a> BodyKey<'a> {
    /// Adds the JSON value of a member that holds a key.
    fn add(&mut self, json: &'a str) {
        match text_of(json) {
            _ if json == "null" => {}
            Ok(text) if text.is_empty() => {}
            Ok(text) => self.add_key(Self::Text(text)),
            Err(_) => self.add_key(Self::Unclear),
        }
    }

    /// Adds the key of another place in the body.
    fn add_key(&mut self, found: Self) {
        if *self == Self::Missing {
            *self = found;
        } else if found != Self::Missing && found != *self {
            // No guess at which of two tenants is meant.
            *self = Self::Unclear;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_one_text_of_all_places() {
        for (values, expected) in [
            (&[][..], BodyKey::Missing),
            (&["null", "\"\""], BodyKey::Missing),
            (&["\"k\""], BodyKey::Text("k".into())),
            (&["\"k\"", "null", "\"k\""], BodyKey::Text("k".into())),
            (&["\"k\"", "\"l\""], BodyKey::Unclear),
            (&["\"k\"", "\"l\"", "\"k\""], BodyKey::Unclear),
            (&["7"], BodyKey::Unclear),
        ] {
            let mut key = BodyKey::default();
            for value in values {
                key.add(value);
            }
            assert_eq!(key, expected, "{values:?}");
        }
        assert!(!format!("{:?}", BodyKey::Text("secret".into())).contains("secret"));
    }
}

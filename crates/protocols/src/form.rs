//! The form of a request: from its path to the module of its protocol.
//!
//! A protocol with nothing of its own to say at a step has no arm there.

use std::borrow::Cow;

use mercurio_domain::event::EventType;
use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::Verdict;

use crate::amplitude::AmplitudeForm;
use crate::cloudevents::{CloudEventsForm, OpenMeterForm};
use crate::mixpanel::MixpanelForm;
use crate::otlp::OtlpForm;
use crate::posthog::PosthogForm;
use crate::secrets::mask_keys;
use crate::segment::SegmentForm;
use crate::snowplow::SnowplowForm;
use crate::{Failure, FailureReply, ForeignRequest, Head, Protocol, Received, Reply};
use crate::{amplitude, cloudevents, mixpanel, otlp, posthog, segment, snowplow};

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Segment's and RudderStack's.
    Segment(SegmentForm),
    /// Jitsu's: one message of this type.
    Jitsu(EventType),
    /// PostHog's.
    Posthog(PosthogForm),
    /// The HTTP binding of CloudEvents.
    CloudEvents(CloudEventsForm),
    /// OpenMeter's.
    OpenMeter(OpenMeterForm),
    /// Amplitude's.
    Amplitude(AmplitudeForm),
    /// Mixpanel's.
    Mixpanel(MixpanelForm),
    /// Snowplow's.
    Snowplow(SnowplowForm),
    /// OpenTelemetry's logs.
    Otlp(OtlpForm),
}

impl Form {
    /// Returns the protocol.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Segment(_) => Protocol::Segment,
            Self::Jitsu(_) => Protocol::Jitsu,
            Self::Posthog(_) => Protocol::Posthog,
            Self::CloudEvents(_) => Protocol::CloudEvents,
            Self::OpenMeter(_) => Protocol::OpenMeter,
            Self::Amplitude(_) => Protocol::Amplitude,
            Self::Mixpanel(_) => Protocol::Mixpanel,
            Self::Snowplow(_) => Protocol::Snowplow,
            Self::Otlp(_) => Protocol::Otlp,
        }
    }

    /// Returns a small valid body for an error.
    #[must_use]
    pub fn example(self) -> &'static str {
        match self {
            Self::Segment(form) => segment::example(form),
            Self::Jitsu(kind) => segment::example(SegmentForm::Message(kind)),
            Self::Posthog(form) => posthog::example(form),
            Self::CloudEvents(_) | Self::OpenMeter(_) => cloudevents::EXAMPLE,
            Self::Amplitude(form) => amplitude::example(form),
            Self::Mixpanel(form) => mixpanel::example(form),
            Self::Snowplow(form) => snowplow::example(form),
            Self::Otlp(_) => otlp::EXAMPLE,
        }
    }

    /// Returns the status of a request with a stored event.
    #[must_use]
    pub fn success_status(self) -> u16 {
        match self {
            Self::OpenMeter(_) => 204,
            _ => 200,
        }
    }

    /// Returns whether the key may be in the body or the query string. For any other form, a request
    /// without one in its headers is refused before its body is read.
    #[must_use]
    pub fn has_body_key(self) -> bool {
        !matches!(self, Self::CloudEvents(_) | Self::OpenMeter(_) | Self::Otlp(_))
    }

    /// Returns whether a body is data of any kind, and not JSON or a shell around it: its first bytes
    /// do not show whether it is compressed.
    #[must_use]
    pub fn has_opaque_body(self, head: &Head<'_>) -> bool {
        matches!(self, Self::CloudEvents(_)) && cloudevents::is_binary(head)
    }

    /// Returns the answer to a request that sends no events, such as one for a configuration. It
    /// needs no key.
    #[must_use]
    pub fn fixed_reply(self) -> Option<Reply> {
        match self {
            Self::Posthog(form) => posthog::fixed_reply(form),
            _ => None,
        }
    }

    /// Returns the text in a body: out of a form, of Base64, of the query string, or of protobuf.
    ///
    /// # Errors
    /// [`ParseError`] for a body that is not in such a shell. The text need not be JSON yet.
    pub fn payload<'a>(self, head: &Head<'a>, body: &'a [u8]) -> Result<Cow<'a, [u8]>, ParseError> {
        match self {
            Self::Posthog(_) => posthog::payload(head, body),
            Self::CloudEvents(_) => cloudevents::payload(head, body),
            Self::Mixpanel(form) => mixpanel::payload(form, head, body),
            Self::Snowplow(form) => Ok(snowplow::payload(form, head, body)),
            Self::Otlp(_) => otlp::payload(head, body),
            Self::Segment(_) | Self::Jitsu(_) | Self::OpenMeter(_) | Self::Amplitude(_) => {
                Ok(body.into())
            }
        }
    }

    /// Reads the events of a text.
    ///
    /// # Errors
    /// [`ParseError`]. Errors in single events are not among them.
    pub fn read<'a>(
        self,
        head: &Head<'a>,
        text: &'a str,
        max_events: usize,
    ) -> Result<ForeignRequest<'a>, ParseError> {
        let mut request = match self {
            Self::Segment(form) => segment::read(text, form, max_events),
            Self::Jitsu(kind) => segment::read(text, SegmentForm::Message(kind), max_events),
            Self::Posthog(form) => posthog::read(form, head, text, max_events),
            Self::CloudEvents(_) => cloudevents::read(head, text, max_events),
            Self::OpenMeter(_) => cloudevents::openmeter_read(head, text, max_events),
            Self::Amplitude(form) => amplitude::read(form, head, text, max_events),
            Self::Mixpanel(form) => mixpanel::read(form, head, text, max_events),
            Self::Snowplow(form) => snowplow::read(form, text, max_events),
            Self::Otlp(_) => otlp::read(text, max_events),
        }?;
        for item in &mut request.items {
            mask_keys(item);
        }
        Ok(request)
    }

    /// Returns the answer to a request whose valid events are stored. `None`: the common one, which
    /// is an error if every event was rejected.
    #[must_use]
    pub fn reply(
        self,
        head: &Head<'_>,
        received: &Received<'_>,
        verdicts: &[Verdict],
    ) -> Option<Reply> {
        match self {
            Self::Posthog(form) => posthog::reply(form, received, verdicts),
            Self::OpenMeter(_) => cloudevents::openmeter_reply(verdicts),
            Self::Amplitude(form) => amplitude::reply(form, verdicts),
            Self::Mixpanel(form) => mixpanel::reply(form, head, received, verdicts),
            Self::Snowplow(form) => snowplow::reply(form, verdicts),
            Self::Otlp(_) => Some(otlp::reply(head, verdicts)),
            Self::Segment(_) | Self::Jitsu(_) | Self::CloudEvents(_) => None,
        }
    }

    /// Returns the answer to a failed request.
    #[must_use]
    pub fn failure(self, head: &Head<'_>, failure: &Failure<'_>) -> FailureReply {
        match self {
            Self::Posthog(form) => posthog::failure(form, failure),
            Self::Amplitude(form) => amplitude::failure(form, failure),
            Self::Mixpanel(form) => mixpanel::failure(form, failure),
            Self::Snowplow(_) => snowplow::failure(failure),
            Self::Otlp(_) => otlp::failure(head, failure),
            Self::Segment(_) | Self::Jitsu(_) | Self::CloudEvents(_) | Self::OpenMeter(_) => {
                FailureReply::Problem(failure.status)
            }
        }
    }
}

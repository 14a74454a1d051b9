//! The protocols by name, and the set of those that a server speaks.

use std::fmt;

/// A foreign protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// The protocol of Segment's clients, also spoken by RudderStack's.
    Segment,
    /// The paths of Jitsu's clients, with bodies as Segment's.
    Jitsu,
    /// PostHog's.
    Posthog,
    /// The HTTP binding of CloudEvents.
    CloudEvents,
    /// OpenMeter's: CloudEvents on a path of its own.
    OpenMeter,
    /// Amplitude's HTTP API.
    Amplitude,
    /// Mixpanel's.
    Mixpanel,
    /// Snowplow's trackers.
    Snowplow,
    /// Logs of OpenTelemetry.
    Otlp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 9] = [
        Self::Segment,
        Self::Jitsu,
        Self::Posthog,
        Self::CloudEvents,
        Self::OpenMeter,
        Self::Amplitude,
        Self::Mixpanel,
        Self::Snowplow,
        Self::Otlp,
    ];

    /// The name in settings and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Jitsu => "jitsu",
            Self::Posthog => "posthog",
            Self::CloudEvents => "cloudevents",
            Self::OpenMeter => "openmeter",
            Self::Amplitude => "amplitude",
            Self::Mixpanel => "mixpanel",
            Self::Snowplow => "snowplow",
            Self::Otlp => "otlp",
        }
    }

    /// The name in documentation.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Segment => "Segment",
            Self::Jitsu => "Jitsu",
            Self::Posthog => "PostHog",
            Self::CloudEvents => "CloudEvents",
            Self::OpenMeter => "OpenMeter",
            Self::Amplitude => "Amplitude",
            Self::Mixpanel => "Mixpanel",
            Self::Snowplow => "Snowplow",
            Self::Otlp => "OpenTelemetry",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text)
    }
}

/// A set of protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols(u32);

/// A text is not a set of protocols.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a protocol: use all, none, or a list of {names}", names = names())]
pub struct InvalidProtocols(String);

fn names() -> String {
    Protocol::ALL.map(Protocol::as_str).join(", ")
}

/// What a server takes from clients of other services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolOptions {
    /// The protocols that the server speaks.
    pub enabled: Protocols,
    /// Maximum events of a request: clients make larger batches than this server's own API allows,
    /// and most drop a batch that is refused.
    pub max_events: usize,
    /// Maximum bytes of a decompressed body.
    pub max_body_bytes: usize,
}

impl Default for ProtocolOptions {
    /// All protocols, and room for the largest batch of every client.
    fn default() -> Self {
        Self { enabled: Protocols::default(), max_events: 1_000, max_body_bytes: 5 * 1024 * 1024 }
    }
}

impl Default for Protocols {
    /// All of them.
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Protocols {
    /// No protocol.
    pub const NONE: Self = Self(0);

    /// Reads `all`, `none`, or names separated by commas.
    ///
    /// # Errors
    /// [`InvalidProtocols`] with the first unknown name.
    pub fn parse(text: &str) -> Result<Self, InvalidProtocols> {
        match text.trim() {
            "all" => return Ok(Self::default()),
            "none" => return Ok(Self::NONE),
            _ => {}
        }
        let mut set = Self::NONE;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            // The setting may be another one's value, and as long.
            let unknown = || InvalidProtocols(name.chars().take(64).collect());
            set.0 |= bit(Protocol::from_text(name).ok_or_else(unknown)?);
        }
        Ok(set)
    }

    /// Returns whether the set has `protocol`.
    #[must_use]
    pub fn contains(self, protocol: Protocol) -> bool {
        self.0 & bit(protocol) != 0
    }
}

fn bit(protocol: Protocol) -> u32 {
    1 << protocol as u32
}

impl fmt::Display for Protocols {
    /// In the form that [`Protocols::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> =
            Protocol::ALL.into_iter().filter(|protocol| self.contains(*protocol)).collect();
        match members.len() {
            0 => f.write_str("none"),
            count if count == Protocol::ALL.len() => f.write_str("all"),
            _ => f.write_str(
                &members.iter().map(|member| member.as_str()).collect::<Vec<_>>().join(","),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_is_read_and_written() {
        for (text, shown) in [
            ("all", "all"),
            ("none", "none"),
            ("segment", "segment"),
            (" jitsu, segment,", "segment,jitsu"),
        ] {
            assert_eq!(Protocols::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let one = Protocols::parse("jitsu").unwrap();
        assert!(one.contains(Protocol::Jitsu) && !one.contains(Protocol::Segment));
        let error = Protocols::parse("segment,Posthog").unwrap_err().to_string();
        assert_eq!(
            error,
            "\"Posthog\" is not a protocol: use all, none, or a list of segment, jitsu, posthog, cloudevents, \
             openmeter, amplitude, mixpanel, snowplow, otlp"
        );
    }
}

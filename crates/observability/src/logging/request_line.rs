//! The line `request` that every request leaves after its response, and the line of a slow request.
//!
//! The logger adds `request_id` and `trace_id` ([`crate::logging::context`]). Paths, query strings,
//! addresses, payloads and keys are never logged.

use crate::logging::keys;
use crate::stages::{Stage, Stages};
use slog::{Level, Logger};
use std::time::Duration;

/// The values of the line. `None` omits the key.
#[derive(Clone, Debug, Default)]
pub struct RequestLine<'a> {
    /// Tenant id, after authentication.
    pub tenant_id: Option<&'a str>,
    /// Workspace id.
    pub workspace_id: Option<&'a str>,
    /// Public id of the API key, never the key.
    pub key_id: Option<&'a str>,
    /// HTTP method.
    pub method: &'a str,
    /// Route pattern, never the path; `None` if no route matched.
    pub route: Option<&'a str>,
    /// HTTP status of the response.
    pub status: u16,
    /// Verdicts of the request's events; `None` before they are known.
    pub events: Option<EventCounts>,
    /// Body size after decompression.
    pub body_bytes: Option<u64>,
    /// Time from the request head to the response head.
    pub duration: Duration,
    /// Similar lines omitted before this one; 0 omits the key.
    pub not_logged: u64,
}

/// Number of a request's events by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Stored.
    pub accepted: u64,
    /// Stored before.
    pub duplicates: u64,
    /// Refused.
    pub rejected: u64,
}

impl EventCounts {
    /// Returns the sum.
    #[must_use]
    pub fn total(self) -> u64 {
        self.accepted + self.duplicates + self.rejected
    }
}

impl RequestLine<'_> {
    /// Logs at `info`, or at `warning` from status 500. The cause of such a status has its own
    /// line.
    pub fn log(&self, logger: &Logger) {
        // The level is part of a static, so each level has its own call.
        if self.status >= 500 {
            self.log_at(logger, slog::record_static!(Level::Warning, ""));
        } else {
            self.log_at(logger, slog::record_static!(Level::Info, ""));
        }
    }

    /// Logs a `warning` with the duration of each stage.
    pub fn log_slow(&self, logger: &Logger, stages: &Stages) {
        let line = slog::record_static!(Level::Warning, "");
        let values = slog::b!(
            StageDurations(stages),
            keys::DURATION_MS => millis(self.duration),
            keys::BODY_BYTES => self.body_bytes,
            keys::EVENTS => self.events.map(EventCounts::total),
            RequestKeys(self)
        );
        logger.log(&slog::Record::new(&line, &format_args!("slow request"), values));
    }

    fn log_at(&self, logger: &Logger, line: slog::RecordStatic<'static>) {
        let events = self.events;
        // slog serializes the last key first: in the line, the tenant comes before the duration.
        let values = slog::b!(
            keys::DURATION_MS => millis(self.duration),
            keys::BODY_BYTES => self.body_bytes,
            keys::REJECTED => events.map(|events| events.rejected),
            keys::DUPLICATES => events.map(|events| events.duplicates),
            keys::ACCEPTED => events.map(|events| events.accepted),
            keys::EVENTS => events.map(EventCounts::total),
            keys::NOT_LOGGED => Some(self.not_logged).filter(|omitted| *omitted > 0),
            RequestKeys(self)
        );
        logger.log(&slog::Record::new(&line, &format_args!("request"), values));
    }
}

fn millis(duration: Duration) -> f64 {
    // One division of whole microseconds leaves at most three decimals.
    duration.as_micros() as f64 / 1000.0
}

/// The keys shared by both lines.
struct RequestKeys<'a>(&'a RequestLine<'a>);

impl slog::KV for RequestKeys<'_> {
    fn serialize(
        &self,
        record: &slog::Record<'_>,
        serializer: &mut dyn slog::Serializer,
    ) -> slog::Result {
        let Self(line) = self;
        let values = slog::kv!(
            keys::STATUS => line.status,
            keys::ROUTE => line.route,
            keys::METHOD => line.method,
            keys::KEY_ID => line.key_id,
            keys::WORKSPACE_ID => line.workspace_id,
            keys::TENANT_ID => line.tenant_id
        );
        values.serialize(record, serializer)
    }
}

/// The duration of each finished stage.
struct StageDurations<'a>(&'a Stages);

impl slog::KV for StageDurations<'_> {
    fn serialize(
        &self,
        _: &slog::Record<'_>,
        serializer: &mut dyn slog::Serializer,
    ) -> slog::Result {
        for stage in Stage::ALL {
            if let Some(duration) = self.0.duration(stage) {
                serializer.emit_f64(stage.key(), millis(duration))?;
            }
        }
        Ok(())
    }
}

//! The closing line of a request: one for each, with the same keys every time.
//!
//! Filled by whoever serves the request, written once the response is known. `request_id` and `trace_id` come from the
//! logger (see [`crate::logging::context`]). Not here: paths, query strings, addresses, payloads, keys: they are never logged.

use crate::logging::keys;
use crate::stages::{Stage, Stages};
use slog::{Level, Logger};
use std::time::Duration;

/// What the line says. Fields left at `None` are left out of it.
#[derive(Clone, Debug, Default)]
pub struct RequestLine<'a> {
    /// The tenant's id, once the request is authenticated.
    pub tenant_id: Option<&'a str>,
    /// The workspace's id.
    pub workspace_id: Option<&'a str>,
    /// The public id of the API key, never the key.
    pub key_id: Option<&'a str>,
    /// The HTTP method.
    pub method: &'a str,
    /// The pattern of the route, never the path; `None` where no route matched.
    pub route: Option<&'a str>,
    /// The HTTP status of the response.
    pub status: u16,
    /// What became of the request's events; `None` where it has none by nature or did not come that far.
    pub events: Option<EventCounts>,
    /// Size of the body in bytes, after decompression.
    pub body_bytes: Option<u64>,
    /// From the request's head to the response's head.
    pub duration: Duration,
}

/// What became of a request's events.
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
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.accepted + self.duplicates + self.rejected
    }
}

impl RequestLine<'_> {
    /// Logs the line: level `info`, for a status of 500 and above `warning` (the cause is a line of its own).
    pub fn log(&self, logger: &Logger) {
        if self.status >= 500 {
            self.log_at(logger, slog::record_static!(Level::Warning, ""));
        } else {
            self.log_at(logger, slog::record_static!(Level::Info, ""));
        }
    }

    /// Logs that the request was slow, and where its time went: a `warning`.
    pub fn log_slow(&self, logger: &Logger, stages: &Stages) {
        let line = slog::record_static!(Level::Warning, "");
        let values = slog::b!(
            SlowStages(stages),
            keys::DURATION_MS => millis(self.duration),
            keys::BODY_BYTES => self.body_bytes,
            keys::EVENTS => self.events.map(EventCounts::total),
            Asked(self)
        );
        logger.log(&slog::Record::new(&line, &format_args!("slow request"), values));
    }

    fn log_at(&self, logger: &Logger, line: slog::RecordStatic<'static>) {
        let events = self.events;
        // slog hands out the last first: so a reader finds the tenant before the duration.
        let values = slog::b!(
            keys::DURATION_MS => millis(self.duration),
            keys::BODY_BYTES => self.body_bytes,
            keys::REJECTED => events.map(|events| events.rejected),
            keys::DUPLICATES => events.map(|events| events.duplicates),
            keys::ACCEPTED => events.map(|events| events.accepted),
            keys::EVENTS => events.map(EventCounts::total),
            Asked(self)
        );
        logger.log(&slog::Record::new(&line, &format_args!("request"), values));
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Whose the request is, what it asked for and how it was answered.
struct Asked<'a>(&'a RequestLine<'a>);

impl slog::KV for Asked<'_> {
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

/// The durations of the stages that the request went through.
struct SlowStages<'a>(&'a Stages);

impl slog::KV for SlowStages<'_> {
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

//! Where the time of a request went: its stages, each with a beginning and an end.
//!
//! Filled by handlers at the cost of looking at the clock; read when the request is over, for the line of a slow one and for
//! the spans of a trace.

use crate::logging::keys;
use std::time::{Duration, Instant};

/// A part of a request's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Who is calling.
    Authenticate,
    /// The body comes in and is decompressed.
    Receive,
    /// Bytes become valid events.
    Parse,
    /// What the edge knows is added.
    Enrich,
    /// The events wait for their transaction.
    Queue,
    /// The transaction, and the answer's way back.
    Commit,
}

impl Stage {
    /// All of them, in the order of a request.
    pub const ALL: [Self; 6] =
        [Self::Authenticate, Self::Receive, Self::Parse, Self::Enrich, Self::Queue, Self::Commit];

    /// The stage as the span of a trace is called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Receive => "receive",
            Self::Parse => "parse",
            Self::Enrich => "enrich",
            Self::Queue => "queue",
            Self::Commit => "commit",
        }
    }

    /// Its key in the line of a slow request.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Authenticate => keys::AUTH_MS,
            Self::Receive => keys::RECEIVE_MS,
            Self::Parse => keys::PARSE_MS,
            Self::Enrich => keys::ENRICH_MS,
            Self::Queue => keys::QUEUE_MS,
            Self::Commit => keys::COMMIT_MS,
        }
    }
}

/// The stages that a request went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stages([Option<(Instant, Instant)>; 6]);

impl Stages {
    /// Notes a stage.
    pub fn note(&mut self, stage: Stage, start: Instant, end: Instant) {
        self.0[stage as usize] = Some((start, end));
    }

    /// When a stage began and ended; `None`: the request did not come so far.
    #[must_use]
    pub fn get(&self, stage: Stage) -> Option<(Instant, Instant)> {
        self.0[stage as usize]
    }

    /// How long a stage took.
    #[must_use]
    pub fn duration(&self, stage: Stage) -> Option<Duration> {
        self.get(stage).map(|(start, end)| end.saturating_duration_since(start))
    }
}

//! The start and end of each stage of a request, for the line `slow request` and for trace spans.

use crate::logging::keys;
use std::time::{Duration, Instant};

/// A stage of a write request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Look up the API key.
    Authenticate,
    /// Receive and decompress the body.
    Receive,
    /// Apply rate limits, parse and validate.
    Parse,
    /// Add device, location and campaign.
    Enrich,
    /// Wait for the transaction.
    Queue,
    /// Run the transaction and receive its answer.
    Commit,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 6] =
        [Self::Authenticate, Self::Receive, Self::Parse, Self::Enrich, Self::Queue, Self::Commit];

    /// Returns the name of the trace span.
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

    /// Returns the key in the line `slow request`.
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

/// The finished stages of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stages([Option<StageTime>; Stage::ALL.len()]);

/// When a stage began and ended.
#[derive(Clone, Copy, Debug)]
pub struct StageTime {
    /// Start of the stage.
    pub started: Instant,
    /// End of the stage.
    pub ended: Instant,
}

impl StageTime {
    /// Returns the duration of the stage.
    #[must_use]
    pub fn duration(self) -> Duration {
        // `note` asserts the order in debug builds; in release a wrong order counts as zero.
        self.ended.saturating_duration_since(self.started)
    }
}

impl Stages {
    /// Records a finished stage.
    pub fn note(&mut self, stage: Stage, started: Instant, ended: Instant) {
        debug_assert!(started <= ended, "{stage:?} ends before it starts");
        // The discriminants index the array, because `Stage::ALL` keeps the order of declaration.
        self.0[stage as usize] = Some(StageTime { started, ended });
    }

    /// Returns the times of a stage; `None` if the request did not finish it.
    #[must_use]
    pub fn get(&self, stage: Stage) -> Option<StageTime> {
        self.0[stage as usize]
    }

    /// Returns the duration of a stage; `None` if the request did not finish it.
    #[must_use]
    pub fn duration(&self, stage: Stage) -> Option<Duration> {
        self.get(stage).map(StageTime::duration)
    }
}

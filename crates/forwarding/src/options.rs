//! What a forwarder is given: options, and its process.

use std::error::Error;
use std::time::Duration;

use mercurio_domain::Clock;
use mercurio_domain::limits::DEFAULT_PAGE_EVENTS;

use crate::backoff::Backoff;
use crate::batch::BatchFormat;

/// How to forward.
#[derive(Debug, Clone, Copy)]
pub struct ForwardOptions {
    /// Maximum events of a request. A page of the feed bounds its bytes.
    pub batch_events: usize,
    /// Form of the bodies.
    pub format: BatchFormat,
    /// Start, if no cursor is stored under the name.
    pub start: ForwardStart,
    /// Stop at the newest event.
    pub once: bool,
    /// Stop with an error after this time without a success; `None`: never.
    pub give_up_after: Option<Duration>,
    /// Pauses after failures, of the receiver or of the database.
    pub backoff: Backoff,
    /// Pause after the newest event.
    pub poll: Duration,
}

impl Default for ForwardOptions {
    fn default() -> Self {
        Self {
            batch_events: DEFAULT_PAGE_EVENTS,
            format: BatchFormat::Json,
            start: ForwardStart::Oldest,
            once: false,
            give_up_after: None,
            backoff: Backoff::default(),
            poll: Duration::from_secs(1),
        }
    }
}

/// Start of a consumer without a stored cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardStart {
    /// The oldest event of the workspace.
    Oldest,
    /// The first event that is stored from now on.
    Now,
}

/// Gets every step.
pub trait ForwardObserver {
    /// A batch was delivered, or nothing was left to deliver. `totals` count since the start.
    fn progress(&self, totals: Totals);
    /// An attempt failed, by the receiver or the database: the `failures`-th in a row. The next
    /// one follows after `pause`.
    fn failure(&self, error: &(dyn Error + 'static), failures: u32, pause: Duration);
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events delivered. An event delivered twice counts twice.
    pub events: u64,
    /// Requests with a 2xx answer.
    pub batches: u64,
    /// Failed attempts.
    pub failures: u64,
}

/// What a forwarder needs from its process.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Time of requests.
    pub clock: &'a dyn Clock,
    /// Blocks for a time.
    pub sleep: &'a dyn Fn(Duration),
    /// Whether to stop. A request in flight is finished.
    pub is_stopped: &'a dyn Fn() -> bool,
    /// Gets every step.
    pub observer: &'a dyn ForwardObserver,
}

//! The record of what clients sent and were answered.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use mercurio_domain::verdict::{Outcome, Verdict};
use mercurio_domain::{Owner, TenantId, WorkspaceId};

use crate::payload::Digest;

/// A point in the order of all sends and answers of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u32);

impl Moment {
    /// A moment after all earlier ones.
    fn next() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        // Sequentially consistent: an answer seen before a send in one thread precedes it here.
        Self(LAST.fetch_add(1, Ordering::SeqCst))
    }
}

/// Identifies an event: ids are unique within a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventRef {
    /// The tenant that sent it.
    pub tenant_id: TenantId,
    /// The client's id.
    pub event_id: Box<str>,
}

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {:?} of tenant {}", self.event_id, self.tenant_id)
    }
}

/// An event of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentEvent {
    /// The client's id.
    pub event_id: Box<str>,
    /// The content.
    pub digest: Digest,
}

/// A request in flight. Record it once, answered or not.
#[derive(Debug, Clone)]
#[must_use = "a request that is not recorded hides its violations"]
pub struct Request {
    owner: Owner,
    events: Vec<SentEvent>,
    sent: Moment,
}

impl Request {
    /// Begins a request. Call it before the first byte is sent, again for each repetition.
    pub fn begin(owner: Owner, events: Vec<SentEvent>) -> Self {
        Self { owner, events, sent: Moment::next() }
    }

    /// The events, in the order of the request.
    #[must_use]
    pub fn events(&self) -> &[SentEvent] {
        &self.events
    }
}

/// The answer to one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Stored by this request.
    Accepted,
    /// Stored before.
    Duplicate,
    /// Not stored: the event is invalid, or its request was refused.
    Rejected,
    /// No answer, or one that leaves the outcome open, like a 503.
    Unknown,
}

impl Answer {
    /// Reads the `status` of a result in a response. `None` for an unknown one.
    #[must_use]
    pub fn from_status(status: &str) -> Option<Self> {
        match status {
            "accepted" => Some(Self::Accepted),
            "duplicate" => Some(Self::Duplicate),
            "rejected" => Some(Self::Rejected),
            _ => None,
        }
    }

    /// Whether the client may rely on the event.
    #[must_use]
    pub fn promises_storage(self) -> bool {
        matches!(self, Self::Accepted | Self::Duplicate)
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted => Self::Accepted,
            Outcome::Duplicate | Outcome::DuplicateIn(_) => Self::Duplicate,
        }
    }
}

impl From<&Verdict> for Answer {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Stored(_, outcome) => (*outcome).into(),
            Verdict::Rejected(_) => Self::Rejected,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
            Self::Unknown => "unanswered",
        })
    }
}

/// One attempt to store an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The workspace of the request's key.
    pub workspace_id: WorkspaceId,
    /// The content sent.
    pub digest: Digest,
    /// The answer.
    pub answer: Answer,
    /// Before the request was sent.
    pub sent: Moment,
    /// After its answer was read.
    pub answered: Moment,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workspace_id, digest, answer, sent, answered } = self;
        write!(
            f,
            "{answer} (workspace {workspace_id}, payload {digest}, moments {} to {})",
            sent.0, answered.0
        )
    }
}

/// Totals of a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Different event ids.
    pub events: u64,
    /// Requests, repetitions included.
    pub requests: u64,
    /// Requests without an answer that settles their events.
    pub unanswered_requests: u64,
    /// Events answered `accepted`.
    pub accepted: u64,
    /// Events answered `duplicate`.
    pub duplicates: u64,
    /// Events answered `rejected`.
    pub rejected: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, requests, unanswered_requests, accepted, duplicates, rejected } = self;
        write!(
            f,
            "{events} events in {requests} requests ({unanswered_requests} unanswered); verdicts: \
             {accepted} accepted, {duplicates} duplicate, {rejected} rejected"
        )
    }
}

/// Everything that clients sent, with the answers.
#[derive(Debug, Clone, Default)]
pub struct History {
    events: HashMap<EventRef, Vec<Attempt>>,
    figures: Figures,
}

impl History {
    /// Records an answered request, with an answer for each event in order.
    ///
    /// # Panics
    /// If there are more or fewer answers than events: the server broke its contract.
    #[track_caller]
    pub fn answered(&mut self, request: Request, answers: &[Answer]) {
        assert_eq!(request.events.len(), answers.len(), "one answer for each event of a request");
        self.record(request, answers);
    }

    /// Records a request refused as a whole, like one with 429: nothing of it may be stored.
    pub fn refused(&mut self, request: Request) {
        let answers = vec![Answer::Rejected; request.events.len()];
        self.record(request, &answers);
    }

    /// Records a request without an answer, or with one that leaves its outcome open.
    pub fn unanswered(&mut self, request: Request) {
        self.figures.unanswered_requests += 1;
        let answers = vec![Answer::Unknown; request.events.len()];
        self.record(request, &answers);
    }

    fn record(&mut self, request: Request, answers: &[Answer]) {
        let Request { owner: Owner { tenant_id, workspace_id }, events, sent } = request;
        let answered = Moment::next();
        self.figures.requests += 1;
        for (SentEvent { event_id, digest }, answer) in events.into_iter().zip(answers) {
            match answer {
                Answer::Accepted => self.figures.accepted += 1,
                Answer::Duplicate => self.figures.duplicates += 1,
                Answer::Rejected => self.figures.rejected += 1,
                Answer::Unknown => {}
            }
            let attempt = Attempt { workspace_id, digest, answer: *answer, sent, answered };
            match self.events.entry(EventRef { tenant_id, event_id }) {
                Entry::Occupied(mut known) => known.get_mut().push(attempt),
                // Room for exactly one: long histories have tens of millions of these.
                Entry::Vacant(new) => new.insert(Vec::with_capacity(1)).push(attempt),
            }
        }
        self.figures.events = self.events.len() as u64;
    }

    /// Adds the history of another client.
    pub fn merge(&mut self, other: Self) {
        for (event, attempts) in other.events {
            self.events.entry(event).or_default().extend(attempts);
        }
        let Figures { requests, unanswered_requests, accepted, duplicates, rejected, .. } =
            other.figures;
        self.figures.events = self.events.len() as u64;
        self.figures.requests += requests;
        self.figures.unanswered_requests += unanswered_requests;
        self.figures.accepted += accepted;
        self.figures.duplicates += duplicates;
        self.figures.rejected += rejected;
    }

    /// The event and its attempts, `None` if no client sent it.
    pub(crate) fn entry(&self, event: &EventRef) -> Option<(&EventRef, &[Attempt])> {
        self.events.get_key_value(event).map(|(event, attempts)| (event, attempts.as_slice()))
    }

    /// All events with their attempts, in no order.
    pub fn events(&self) -> impl Iterator<Item = (&EventRef, &[Attempt])> {
        self.events.iter().map(|(event, attempts)| (event, attempts.as_slice()))
    }

    /// The events a client may rely on: at least one answer promised that they are stored.
    pub fn promised(&self) -> impl Iterator<Item = &EventRef> {
        let is_promised =
            |attempts: &[Attempt]| attempts.iter().any(|it| it.answer.promises_storage());
        self.events().filter(move |(_, attempts)| is_promised(attempts)).map(|(event, _)| event)
    }

    /// The events without any answer: the client must send them again.
    pub fn unanswered_events(&self) -> impl Iterator<Item = &EventRef> {
        let is_unanswered =
            |attempts: &[Attempt]| attempts.iter().all(|it| it.answer == Answer::Unknown);
        self.events().filter(move |(_, attempts)| is_unanswered(attempts)).map(|(event, _)| event)
    }

    /// Totals over all requests.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures
    }
}

//! The result of a comparison.

use std::fmt;

use mercurio_domain::limits::Month;
use mercurio_domain::{Owner, TenantId, WorkspaceId};

use crate::history::{Attempt, EventRef, Figures};
use crate::payload::Digest;
use crate::stored::CountKey;

/// A broken promise, or a table that contradicts another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what `Display` prints")]
pub enum Violation {
    /// An answer promised that the event is stored, and it is not.
    Lost { event: EventRef, attempts: Vec<Attempt> },
    /// The events table has several rows with its id.
    StoredTwice { event: EventRef, rows: usize },
    /// Several requests stored it, by their answers.
    AcceptedTwice { event: EventRef, attempts: Vec<Attempt> },
    /// It was accepted after the client had been told that it was stored: it was lost between.
    Forgotten { event: EventRef, attempts: Vec<Attempt> },
    /// All answers are `duplicate`, and no request can have stored it.
    NeverAccepted { event: EventRef, attempts: Vec<Attempt> },
    /// Every answer was that it is not stored.
    StoredThoughRejected { event: EventRef, attempts: Vec<Attempt> },
    /// The stored payload or workspace is none that a client sent, or not the accepted one.
    Altered { event: EventRef, workspace_id: WorkspaceId, digest: Digest, attempts: Vec<Attempt> },
    /// No client sent it.
    Unsent { event: EventRef, workspace_id: WorkspaceId },
    /// A key without its event: the event would never be accepted again.
    KeyWithoutEvent { tenant_id: TenantId, key: String },
    /// An event without its key: the next one with this id is not recognized as a duplicate.
    EventWithoutKey { event: EventRef },
    /// A count by name and hour is not the number of rows.
    Miscounted { count: CountKey, rows: u64, counted: u64 },
    /// The usage of a month is not the number of rows.
    MiscountedUsage { tenant_id: TenantId, month: Month, rows: u64, used: u64 },
}

/// Attempts in the order of their sends, one after the other.
struct Attempts<'a>(&'a [Attempt]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut attempts = self.0.to_vec();
        attempts.sort_by_key(|attempt| attempt.sent);
        for (index, attempt) in attempts.iter().enumerate() {
            write!(f, "{}{attempt}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { event, attempts } => {
                write!(f, "lost: {event}; answers: {}", Attempts(attempts))
            }
            Self::StoredTwice { event, rows } => write!(f, "stored {rows} times: {event}"),
            Self::AcceptedTwice { event, attempts } => {
                write!(f, "accepted twice: {event}; answers: {}", Attempts(attempts))
            }
            Self::Forgotten { event, attempts } => {
                write!(
                    f,
                    "stored, lost and accepted again: {event}; answers: {}",
                    Attempts(attempts)
                )
            }
            Self::NeverAccepted { event, attempts } => {
                write!(f, "a duplicate of nothing: {event}; answers: {}", Attempts(attempts))
            }
            Self::StoredThoughRejected { event, attempts } => {
                write!(f, "stored though rejected: {event}; answers: {}", Attempts(attempts))
            }
            Self::Altered { event, workspace_id, digest, attempts } => write!(
                f,
                "altered: {event} is stored in workspace {workspace_id} with payload {digest}; \
                 answers: {}",
                Attempts(attempts)
            ),
            Self::Unsent { event, workspace_id } => {
                write!(f, "never sent: {event}, stored in workspace {workspace_id}")
            }
            Self::KeyWithoutEvent { tenant_id, key } => {
                write!(f, "key without an event: {key} of tenant {tenant_id}")
            }
            Self::EventWithoutKey { event } => write!(f, "no key: {event}"),
            Self::Miscounted { count: CountKey { owner, event_name, hour }, rows, counted } => {
                let Owner { tenant_id, workspace_id } = owner;
                write!(
                    f,
                    "miscounted: {event_name:?} of tenant {tenant_id}, workspace {workspace_id}, in \
                     the hour of {hour}: {counted} counted, {rows} rows"
                )
            }
            Self::MiscountedUsage { tenant_id, month, rows, used } => write!(
                f,
                "miscounted: usage of tenant {tenant_id} in {}: {used} counted, {rows} rows",
                month.number()
            ),
        }
    }
}

/// The result of a comparison.
#[derive(Debug, Clone)]
pub struct Report {
    /// Totals of the history.
    pub figures: Figures,
    /// Rows of events in the database.
    pub rows: u64,
    /// Everything found, in no order.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        let Self { figures, rows, violations } = self;
        write!(f, "{figures}; {rows} rows stored, {} violations", violations.len())
    }
}

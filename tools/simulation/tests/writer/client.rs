//! Clients that follow the rule of the API: after any error or disconnect, send the same events
//! again, until each has its verdict.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use mercurio_domain::event::EnrichedEvent;
use mercurio_domain::ids::{Owner, TenantId, WorkspaceId};
use mercurio_domain::store::Submission;
use mercurio_domain::testing::{at, enriched};
use mercurio_simulation::writer::{GroupWriterHandle, QueueTime, SubmitError};
use mercurio_simulation::{last_delivery, pass_time};
use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};

use super::history::{Answer, History, Queued};
use super::store::GUILTY;

/// Nothing here depends on the calendar.
const RECEIVED_AT: &str = "2026-11-22T10:00:00Z";

/// Retries after which a client gives up. The pauses double, so the outages end long before.
const MAX_RETRIES: usize = 30;

/// The server that the clients reach. A restart replaces it.
pub(crate) struct Address(Mutex<GroupWriterHandle>);

impl Address {
    pub(crate) fn new(handle: GroupWriterHandle) -> Self {
        Self(Mutex::new(handle))
    }

    pub(crate) fn set(&self, handle: GroupWriterHandle) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    pub(crate) fn get(&self) -> GroupWriterHandle {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A batch of events.
pub(crate) struct Request {
    pub(crate) tenant: i64,
    pub(crate) ids: Vec<u32>,
    pub(crate) events: Vec<EnrichedEvent>,
    /// The store always refuses it.
    pub(crate) is_guilty: bool,
}

impl Request {
    pub(crate) fn new(tenant: i64, ids: Vec<u32>, is_guilty: bool) -> Self {
        let name = if is_guilty { GUILTY } else { "e" };
        let event = |id: &u32| enriched(&id.to_string(), name, at(RECEIVED_AT));
        let events = ids.iter().map(event).collect();
        Self { tenant, ids, events, is_guilty }
    }

    fn submission(&self, attempt: usize) -> Submission {
        Submission {
            owner: Owner {
                tenant_id: TenantId(self.tenant),
                // The store reads the attempt from here.
                workspace_id: WorkspaceId(i64::try_from(attempt).expect("few attempts")),
            },
            received_at: at(RECEIVED_AT),
            events: self.events.clone(),
        }
    }
}

pub(crate) struct Client {
    pub(crate) history: Arc<History>,
    pub(crate) address: Arc<Address>,
}

impl Client {
    /// Sends a request until it is stored, or refused for its own fault.
    pub(crate) fn send(&self, request: &Request) {
        let mut pause = Duration::ZERO;
        for _ in 0..MAX_RETRIES {
            match self.attempt(request) {
                Some(Ok(_)) if request.is_guilty => {
                    self.history.violate("a guilty submission is stored".to_owned());
                    return;
                }
                Some(Ok(_)) => return,
                Some(Err(SubmitError::Failed)) if request.is_guilty => return,
                _ => {}
            }
            // The first retry is immediate. Later ones wait, or no time would ever pass.
            if pause > Duration::ZERO {
                pass_time(pause);
            }
            pause = pause * 2 + Duration::from_millis(thread_rng().gen_range(1..=10));
        }
        self.history.violate(format!("no answer in {MAX_RETRIES} retries"));
    }

    /// Returns the answer, or `None` if the client disconnects before it.
    fn attempt(&self, request: &Request) -> Option<Answer> {
        let attempt = self.history.attempt(request.tenant, &request.ids);
        let handle = self.address.get();
        let time = QueueTime::default();
        let mut submitting = Box::pin(handle.submit_timed(request.submission(attempt), &time));
        let outage = self.history.outage();
        // The first poll queues the submission.
        let first = block_on(poll_fn(|context| Poll::Ready(submitting.as_mut().poll(context))));
        let answer = match first {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                if outage.is_some() && self.history.outage() == outage {
                    self.history.violate(format!("attempt {attempt} is queued in an outage"));
                }
                if let Some(delivery) = last_delivery() {
                    self.history.queued(attempt, Queued { time: time.clone(), delivery });
                }
                if thread_rng().gen_bool(0.1) {
                    pass_time(Duration::from_millis(thread_rng().gen_range(0..10)));
                    self.history.note(&format!("the client of attempt {attempt} disconnects"));
                    return None;
                }
                block_on(submitting)
            }
        };
        self.history.answered(attempt, answer.clone());
        if answer == Err(SubmitError::Unavailable) && handle.is_available() {
            self.history.available_after(attempt);
        }
        Some(answer)
    }
}

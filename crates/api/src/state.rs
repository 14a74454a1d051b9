//! The state that all requests share: the store, the writer, caches, and the settings of handlers.
//!
//! Start-up creates it, or a test with the memory store.

use std::sync::Arc;

use mercurio_domain::ids::IdGenerator;
use mercurio_domain::limits::Month;
use mercurio_domain::store::{Store, StoreError, Submission};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{Clock, Timestamp};
use mercurio_enrichment::Enricher;
use mercurio_observability::{Metrics, Traces, chain, context, keys};
use mercurio_pipeline::writer::QueueTime;
use mercurio_pipeline::{GroupWriterHandle, SubmitError};
use mercurio_runtime::RequestSettings;
use slog::error;
use tokio::time::Instant;

use crate::body::Bodies;
use crate::problem::Problem;
use mercurio_rate_limit::RateLimits;
use mercurio_runtime::count_worker::SummedAt;
use mercurio_runtime::database_probe::DatabaseProbe;
use mercurio_runtime::key_cache::KeyCache;
use mercurio_runtime::key_uses::KeyUses;
use mercurio_runtime::lifecycle::Lifecycle;
use mercurio_runtime::quota_usage::{Admission, AdmitError, QuotaUsage};
use mercurio_runtime::reads::Reads;
use mercurio_runtime::refusal_log::RefusalLog;
use mercurio_runtime::rejection_log::RejectionLog;
use mercurio_runtime::rejection_recorder::RejectionRecorderHandle;
use mercurio_runtime::retention::RetentionCounts;
use mercurio_runtime::tail::TailHub;

/// `Retry-After` of an overloaded server or one that is shutting down.
pub(crate) const BUSY_RETRY_AFTER_SECONDS: u64 = 1;
/// `Retry-After` while the database is away.
pub(crate) const UNAVAILABLE_RETRY_AFTER_SECONDS: u64 = 2;

/// The state that all requests share.
pub struct AppState {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Reads and decompresses request bodies.
    pub bodies: Bodies,
    /// Accepts submissions for the next group.
    pub writer: GroupWriterHandle,
    /// Recently used API keys.
    pub keys: KeyCache,
    /// Times of use of API keys, not yet written.
    pub key_uses: Arc<KeyUses>,
    /// Token buckets of all tenants.
    pub rate_limits: RateLimits,
    /// Reads of events in progress.
    pub reads: Reads,
    /// Live tails.
    pub tails: TailHub,
    /// Adds device, location and campaign to events.
    pub enricher: Enricher,
    /// The current time.
    pub clock: Arc<dyn Clock>,
    /// Creates event and request ids.
    pub ids: Arc<dyn IdGenerator>,
    /// Metrics of this server.
    pub metrics: Arc<Metrics>,
    /// Exports sampled traces, if an endpoint is set.
    pub traces: Option<Arc<Traces>>,
    /// Totals of the retention worker.
    pub retention: Arc<RetentionCounts>,
    /// Usage of monthly quotas.
    pub quota_usage: QuotaUsage,
    /// When this server last summed `count_log`.
    pub counts_summed_at: Arc<SummedAt>,
    /// Limits the log lines of refused requests.
    pub refusals: Arc<RefusalLog>,
    /// Samples rejected events into the log.
    pub rejection_log: RejectionLog,
    /// Keeps rejected events and counts them.
    pub rejections: RejectionRecorderHandle,
    /// Settings that handlers read.
    pub settings: RequestSettings,
    /// Health of the database.
    pub database: DatabaseProbe,
    /// Start time, and whether shutdown has begun.
    pub lifecycle: Lifecycle,
}

impl AppState {
    /// Stores the events of an admitted request. Waits for the commit until `deadline`. `queued`
    /// receives their time in the queue.
    ///
    /// # Errors
    /// The response. After [`Problem::StorageUnavailable`] the events may or may not be stored; otherwise nothing was stored.
    pub async fn submit(
        &self,
        submission: Submission,
        admission: Option<Admission>,
        queued: &QueueTime,
        deadline: Instant,
    ) -> Result<Vec<Outcome>, Problem> {
        // Every event was rejected: there is nothing to commit.
        if submission.events.is_empty() {
            return Ok(Vec::new());
        }
        let store = async {
            // Without a quota there is nothing to settle, and no task is needed.
            let Some(admission) = admission else {
                let stored = self.writer.submit_timed(submission, queued).await;
                return stored.map_err(|error| self.submit_problem(error));
            };
            let (writer, queued) = (self.writer.clone(), queued.clone());
            // A task of its own: it settles the admission even if the client is gone, or has waited
            // too long.
            let storing = actix_web::rt::spawn(async move {
                let stored = writer.submit_timed(submission, &queued).await;
                settle(admission, &stored);
                stored
            });
            // A panicked task leaves the outcome unknown, like a lost database.
            let stored = storing.await.unwrap_or(Err(SubmitError::Unavailable));
            stored.map_err(|error| self.submit_problem(error))
        };
        // After the deadline the transaction may still commit. The client repeats the request, and
        // finds its events as duplicates.
        let stored = tokio::time::timeout_at(deadline, store).await;
        stored.unwrap_or(Err(UNAVAILABLE))
    }

    /// Admits a submission to a quota of `monthly_events`, before it takes room in the queue.
    /// `None`: there is nothing to admit, because the tenant has no quota (0) or the submission no
    /// events.
    ///
    /// # Errors
    /// The response: the events do not fit, or the usage cannot be read. Nothing was stored.
    pub async fn admit(
        &self,
        submission: &Submission,
        monthly_events: u64,
        deadline: Instant,
    ) -> Result<Option<Admission>, Problem> {
        if monthly_events == 0 || submission.events.is_empty() {
            return Ok(None);
        }
        // The writer knows already that the database is away: a read of the usage would only wait.
        if !self.writer.is_available() {
            return Err(self.unavailable());
        }
        let (tenant_id, month) = (submission.owner.tenant_id, Month::of(submission.received_at));
        let events = submission.events.len() as u64;
        let admitted = self.quota_usage.admit(tenant_id, month, events, monthly_events);
        // A database that hangs must not hold the request longer than a commit may.
        let admitted = tokio::time::timeout_at(deadline, admitted).await;
        admitted.map_err(|_| UNAVAILABLE)?.map(Some).map_err(|refused| match refused {
            AdmitError::Exceeded(exceeded) => {
                // Quotas have a counter of their own: they renew monthly, rate limits within
                // seconds.
                self.metrics.record_quota_exceeded();
                let seconds = seconds_until(exceeded.month.renews_at(), self.clock.now());
                Problem::QuotaExceeded { exceeded, retry_after_seconds: seconds }
            }
            AdmitError::Unreadable(error) => store_problem(&error),
        })
    }

    /// Returns the problem of a writer that accepts nothing.
    pub(crate) fn unavailable(&self) -> Problem {
        if self.lifecycle.is_draining() {
            Problem::ShuttingDown { retry_after_seconds: BUSY_RETRY_AFTER_SECONDS }
        } else {
            UNAVAILABLE
        }
    }

    fn submit_problem(&self, error: SubmitError) -> Problem {
        match error {
            SubmitError::Overloaded => self.overloaded(),
            SubmitError::ShuttingDown => {
                Problem::ShuttingDown { retry_after_seconds: BUSY_RETRY_AFTER_SECONDS }
            }
            // The writer split the group until this submission failed alone: nothing of it was
            // stored.
            SubmitError::Failed => Problem::Internal,
            SubmitError::Unavailable => UNAVAILABLE,
        }
    }

    /// Returns the problem of a full queue. During shutdown it is [`Problem::ShuttingDown`]: the
    /// client should try another server.
    pub(crate) fn overloaded(&self) -> Problem {
        let retry_after_seconds = BUSY_RETRY_AFTER_SECONDS;
        if self.lifecycle.is_draining() {
            Problem::ShuttingDown { retry_after_seconds }
        } else {
            Problem::Overloaded { retry_after_seconds }
        }
    }
}

pub(crate) const UNAVAILABLE: Problem =
    Problem::StorageUnavailable { retry_after_seconds: UNAVAILABLE_RETRY_AFTER_SECONDS };

/// Settles an admission with the number of its events that were stored.
fn settle(admission: Admission, stored: &Result<Vec<Outcome>, SubmitError>) {
    match stored {
        Ok(outcomes) => {
            // A duplicate uses no quota: it was counted when its event was stored.
            let is_new = |outcome: &&Outcome| **outcome == Outcome::Accepted;
            admission.settle(outcomes.iter().filter(is_new).count() as u64);
        }
        // With these errors nothing was stored, so the whole admission returns to the quota.
        Err(SubmitError::Overloaded | SubmitError::ShuttingDown | SubmitError::Failed) => {
            admission.settle(0);
        }
        // Possibly stored. An admission dropped unsettled counts as stored until the next read.
        Err(SubmitError::Unavailable) => drop(admission),
    }
}

/// Returns whole seconds until `time`, at least 1 even if it has passed: a client must not retry at
/// once.
pub(crate) fn seconds_until(time: Timestamp, now: Timestamp) -> u64 {
    // Negative after the time has passed.
    let micros = u64::try_from(time.micros_since(now)).unwrap_or(0);
    // Rounded up: a client that waits less would be refused again.
    micros.div_ceil(1_000_000).max(1)
}

/// Returns the response to a failed query, and logs the cause.
pub(crate) fn store_problem(error: &StoreError) -> Problem {
    log_store_error(error, 0);
    problem_of_store(error)
}

/// Logs a failed query. `not_logged` similar lines were omitted before this one.
pub(crate) fn log_store_error(error: &StoreError, not_logged: u64) {
    error!(context::current(), "store query failed"; keys::ERROR => chain(error),
        keys::NOT_LOGGED => Some(not_logged).filter(|omitted| *omitted > 0));
}

/// Returns the response to a failed query.
pub(crate) fn problem_of_store(error: &StoreError) -> Problem {
    // A defect must not look like an outage: clients would repeat the request for ever.
    if error.is_unavailable() { UNAVAILABLE } else { Problem::Internal }
}

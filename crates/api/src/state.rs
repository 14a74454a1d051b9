//! What every request shares: the ports, the caches, and the settings that handlers look at.
//!
//! Made once by start-up, or by a test over the memory store. Not here: how any of it was made.

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

use crate::problem::Problem;
use mercurio_rate_limit::RateLimits;
use mercurio_runtime::count_worker::SummedAt;
use mercurio_runtime::database_probe::DatabaseProbe;
use mercurio_runtime::key_cache::KeyCache;
use mercurio_runtime::key_uses::KeyUses;
use mercurio_runtime::lifecycle::Lifecycle;
use mercurio_runtime::quota_usage::{Admission, AdmitError, QuotaUsage};
use mercurio_runtime::rejection_log::RejectionLog;
use mercurio_runtime::retention::RetentionCounts;

/// When a client that was refused for load should come again.
pub(crate) const OVERLOADED_RETRY_AFTER_SECONDS: u64 = 1;
/// When a client should come again after the database was away.
pub(crate) const UNAVAILABLE_RETRY_AFTER_SECONDS: u64 = 2;

/// What every request shares.
pub struct AppState {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The way to the writer.
    pub writer: GroupWriterHandle,
    /// The API keys that were seen lately.
    pub keys: KeyCache,
    /// When they were used.
    pub key_uses: Arc<KeyUses>,
    /// How much each tenant may still send.
    pub rate_limits: RateLimits,
    /// What is added to events.
    pub enricher: Enricher,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn IdGenerator>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Where traces of requests go, if anywhere.
    pub traces: Option<Arc<Traces>>,
    /// What became of events that were kept long enough.
    pub retention: Arc<RetentionCounts>,
    /// Usage of monthly quotas.
    pub quota_usage: QuotaUsage,
    /// When this server last summed the log of counts.
    pub counts_summed_at: Arc<SummedAt>,
    /// Which rejected events leave a line in the log.
    pub rejection_log: RejectionLog,
    /// RequestSettings.
    pub settings: RequestSettings,
    /// What the database said last.
    pub database: DatabaseProbe,
    /// How far the process has come.
    pub lifecycle: Lifecycle,
}

impl AppState {
    /// Stores the events of a request if they fit into a quota of `monthly_events` (0: no quota), and waits for the commit for
    /// as long as a request may. `queued` tells how much of that they waited for their transaction.
    ///
    /// # Errors
    /// The problem to answer with. Only [`Problem::Overloaded`], [`Problem::QuotaExceeded`] and [`Problem::Internal`] mean that
    /// nothing was stored.
    pub async fn submit(
        &self,
        submission: Submission,
        monthly_events: u64,
        queued: &QueueTime,
    ) -> Result<Vec<Outcome>, Problem> {
        if submission.events.is_empty() {
            return Ok(Vec::new());
        }
        let store = async {
            if monthly_events == 0 {
                return self.writer.submit_timed(submission, queued).await.map_err(submit_problem);
            }
            let admission = self.admit(&submission, monthly_events).await?;
            let (writer, queued) = (self.writer.clone(), queued.clone());
            // A task of its own: it settles the admission even if the client is gone, or has waited too long.
            let storing = actix_web::rt::spawn(async move {
                let stored = writer.submit_timed(submission, &queued).await;
                settle(admission, &stored);
                stored
            });
            let stored = storing.await.unwrap_or(Err(SubmitError::Unavailable));
            stored.map_err(submit_problem)
        };
        let stored = tokio::time::timeout(self.settings.commit_timeout, store).await;
        stored.unwrap_or(Err(UNAVAILABLE))
    }

    /// Admits a submission to its tenant's quota.
    async fn admit(
        &self,
        submission: &Submission,
        monthly_events: u64,
    ) -> Result<Admission, Problem> {
        let (tenant_id, month) = (submission.owner.tenant_id, Month::of(submission.received_at));
        let events = submission.events.len() as u64;
        let admitted = self.quota_usage.admit(tenant_id, month, events, monthly_events).await;
        admitted.map_err(|refused| match refused {
            AdmitError::Exceeded(exceeded) => {
                self.metrics.record_quota_exceeded();
                let seconds = seconds_until(exceeded.month.renews_at(), self.clock.now());
                Problem::QuotaExceeded { exceeded, retry_after_seconds: seconds }
            }
            AdmitError::Unreadable(error) => store_problem(&error),
        })
    }

    /// Asks the store on a thread where it may block.
    ///
    /// # Errors
    /// The problem to answer with; the cause is logged.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = Arc::clone(&self.store);
        let answer = tokio::task::spawn_blocking(move || question(store.as_ref())).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(store_problem(&error)),
            Err(panic) => {
                error!(context::current(), "the store panicked"; keys::ERROR => panic.to_string());
                Err(Problem::Internal)
            }
        }
    }
}

const UNAVAILABLE: Problem =
    Problem::StorageUnavailable { retry_after_seconds: UNAVAILABLE_RETRY_AFTER_SECONDS };

fn submit_problem(error: SubmitError) -> Problem {
    match error {
        SubmitError::Overloaded | SubmitError::ShuttingDown => {
            Problem::Overloaded { retry_after_seconds: OVERLOADED_RETRY_AFTER_SECONDS }
        }
        SubmitError::Failed => Problem::Internal,
        SubmitError::Unavailable => UNAVAILABLE,
    }
}

/// Ends an admission by what became of its submission.
fn settle(admission: Admission, stored: &Result<Vec<Outcome>, SubmitError>) {
    match stored {
        Ok(outcomes) => {
            let is_new = |outcome: &&Outcome| **outcome == Outcome::Accepted;
            admission.settle(outcomes.iter().filter(is_new).count() as u64);
        }
        Err(SubmitError::Overloaded | SubmitError::ShuttingDown | SubmitError::Failed) => {
            admission.settle(0);
        }
        // Perhaps stored: the next read tells.
        Err(SubmitError::Unavailable) => drop(admission),
    }
}

/// Whole seconds until `time`, at least one.
pub(crate) fn seconds_until(time: Timestamp, now: Timestamp) -> u64 {
    let micros = u64::try_from(time.micros_since(now)).unwrap_or(0);
    micros.div_ceil(1_000_000).max(1)
}

/// The problem of a question that the store did not answer. The cause is logged.
pub(crate) fn store_problem(error: &StoreError) -> Problem {
    error!(context::current(), "the store did not answer"; keys::ERROR => chain(error));
    if error.is_unavailable() { UNAVAILABLE } else { Problem::Internal }
}

//! What the writer tells of its work, as log lines and counts.

use std::sync::Arc;
use std::time::Duration;

use mercurio_domain::store::StoreError;
use mercurio_observability::{Metrics, chain, keys};
use mercurio_pipeline::WriterObserver;
use mercurio_pipeline::writer::CommittedGroup;
use slog::{Logger, debug, error, info, warn};

/// Logs and counts.
pub struct LogObserver {
    log: Logger,
    metrics: Arc<Metrics>,
}

impl LogObserver {
    /// An observer that logs to `log` and counts into `metrics`.
    #[must_use]
    pub fn new(log: Logger, metrics: Arc<Metrics>) -> Self {
        Self { log, metrics }
    }
}

impl WriterObserver for LogObserver {
    fn waited(&self, wait: Duration) {
        self.metrics.record_queue_wait(wait);
    }

    fn committed(&self, group: CommittedGroup) {
        let CommittedGroup { submissions, events, bytes, took } = group;
        self.metrics.record_group(events as u64, bytes as u64, took);
        debug!(self.log, "committed a group";
            keys::SUBMISSIONS => submissions, keys::EVENTS => events, keys::DURATION_MS => took.as_secs_f64() * 1e3);
    }

    fn split(&self) {
        self.metrics.record_split();
    }

    fn refused(&self, submissions: usize) {
        self.metrics.record_failed_submissions(submissions);
    }

    fn failed(&self, submissions: usize, error: &StoreError) {
        if error.is_unavailable() {
            warn!(self.log, "a group could not be written"; keys::SUBMISSIONS => submissions, keys::ERROR => chain(error));
        } else {
            error!(self.log, "the store refused a group"; keys::SUBMISSIONS => submissions, keys::ERROR => chain(error));
        }
    }

    fn availability(&self, available: bool) {
        if available {
            info!(self.log, "the database is back");
        } else {
            error!(self.log, "the database is away");
        }
    }
}

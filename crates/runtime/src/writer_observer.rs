//! Logs and metrics of the group writer.

use std::sync::Arc;
use std::time::Duration;

use mercurio_domain::store::StoreError;
use mercurio_observability::{Metrics, chain, keys};
use mercurio_pipeline::WriterObserver;
use mercurio_pipeline::writer::CommittedGroup;
use slog::{Logger, debug, error, info, warn};

/// Logs groups, and counts them.
pub struct LogObserver {
    /// The server's log.
    pub log: Logger,
    /// The server's metrics.
    pub metrics: Arc<Metrics>,
}

impl WriterObserver for LogObserver {
    fn waited(&self, wait: Duration) {
        self.metrics.record_queue_wait(wait);
    }

    fn committed(&self, group: CommittedGroup) {
        self.metrics.record_group(group.events as u64, group.bytes as u64, group.took);
        debug!(self.log, "group committed";
            keys::SUBMISSIONS => group.submissions, keys::EVENTS => group.events,
            keys::DURATION_MS => group.took.as_secs_f64() * 1e3);
    }

    fn split(&self) {
        self.metrics.record_split();
    }

    fn refused(&self, submissions: usize) {
        self.metrics.record_failed_submissions(submissions);
    }

    fn failed(&self, submissions: usize, error: &StoreError) {
        // An unavailable database is expected to come back. A refused group needs someone to look
        // at it.
        if error.is_unavailable() {
            warn!(self.log, "group write failed"; keys::SUBMISSIONS => submissions, keys::ERROR => chain(error));
        } else {
            error!(self.log, "group refused"; keys::SUBMISSIONS => submissions, keys::ERROR => chain(error));
        }
    }

    fn availability(&self, available: bool) {
        if available {
            info!(self.log, "database available");
        } else {
            error!(self.log, "database unavailable");
        }
    }
}

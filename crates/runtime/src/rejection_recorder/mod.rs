//! Records rejected events and refused requests after the response: a sample of the events, and
//! counts of all of them.
//!
//! A request pays for its rejected events with a short lock and copies of the kept ones. It waits for
//! no database: a thread writes, and drops events while the database is away. Everything is
//! bounded: memory, a tenant's kept events a second, its groups of counts, and the writes a second.

mod bounds;
mod counts;
mod shared;
mod thread;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use mercurio_domain::ids::IdGenerator;
use mercurio_domain::store::{RejectedEvent, RejectionKind, Rejections};
use mercurio_domain::{Owner, Timestamp};
use mercurio_observability::metrics::RejectionsReading;
use slog::Logger;

pub use bounds::RejectionBounds;
pub use counts::cut;
pub use shared::{CountedRejection, KeptRejection};

use counts::GroupRef;
use shared::{Shared, Totals};
use thread::{Pauses, WriterThread};

/// Accepts rejections from request handlers.
#[derive(Clone)]
pub struct RejectionRecorderHandle(Arc<Shared>);

/// Writes rejections on a thread of its own.
pub struct RejectionRecorder {
    handle: RejectionRecorderHandle,
    /// Ends with the thread; `None` if nothing is recorded.
    ended: Option<Receiver<()>>,
}

impl RejectionRecorder {
    /// Starts the thread. `bounds: None` records nothing.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(
        store: Arc<dyn Rejections>,
        bounds: Option<RejectionBounds>,
        ids: Arc<dyn IdGenerator>,
        log: Logger,
    ) -> std::io::Result<Self> {
        Self::start_with(store, bounds, ids, log, Pauses::default())
    }

    fn start_with(
        store: Arc<dyn Rejections>,
        bounds: Option<RejectionBounds>,
        ids: Arc<dyn IdGenerator>,
        log: Logger,
        pauses: Pauses,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            bounds,
            ids,
            state: Mutex::default(),
            pending: Condvar::new(),
            copied: Condvar::new(),
            closed: Condvar::new(),
            totals: Totals::default(),
        });
        let handle = RejectionRecorderHandle(Arc::clone(&shared));
        let mut ended = None;
        if bounds.is_some() {
            let (sender, receiver): (Sender<()>, _) = channel();
            let thread = WriterThread::new(shared, store, log, pauses);
            std::thread::Builder::new().name("rejections".to_owned()).spawn(move || {
                // Dropped with the thread, however it ends.
                let _ended = sender;
                thread.run();
            })?;
            ended = Some(receiver);
        }
        Ok(Self { handle, ended })
    }

    /// Returns the part for request handlers.
    #[must_use]
    pub fn handle(&self) -> RejectionRecorderHandle {
        self.handle.clone()
    }

    /// Writes everything in memory and ends the thread. Later rejections are lost. Returns false if
    /// the thread did not end in time.
    #[must_use]
    pub fn close(&self, timeout: Duration) -> bool {
        self.handle.0.close();
        let Some(ended) = &self.ended else { return true };
        matches!(ended.recv_timeout(timeout), Err(RecvTimeoutError::Disconnected))
    }
}

impl Drop for RejectionRecorder {
    fn drop(&mut self) {
        self.handle.0.close();
    }
}

impl RejectionRecorderHandle {
    /// Whether anything is recorded.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.bounds.is_some()
    }

    /// Counts the rejected events of a request, and returns those to keep. Pass them to
    /// [`RejectionRecorderHandle::keep`].
    #[must_use]
    pub fn count_events(
        &self,
        owner: Owner,
        received_at: Timestamp,
        events: &[CountedRejection<'_>],
    ) -> Vec<KeptRejection> {
        self.0.count_events(owner, received_at, events, Instant::now())
    }

    /// Accepts the events that [`RejectionRecorderHandle::count_events`] returned.
    pub fn keep(&self, kept: &[KeptRejection], events: Vec<RejectedEvent>) {
        self.0.keep(kept, events);
    }

    /// Counts a request that was refused before its events were read.
    pub fn count_request(&self, owner: Owner, received_at: Timestamp, code: &str) {
        let Some(bounds) = &self.0.bounds else { return };
        let group = GroupRef::new(owner, received_at, RejectionKind::Request, code);
        let mut state = self.0.lock();
        let was_idle = state.is_idle();
        self.0.add(&mut state, bounds, &group, Instant::now());
        self.0.notify(&state, was_idle);
    }

    /// Returns the totals for the metrics.
    #[must_use]
    pub fn read(&self) -> RejectionsReading {
        let totals = &self.0.totals;
        let read = |total: &AtomicU64| total.load(Ordering::Relaxed);
        RejectionsReading {
            kept: read(&totals.kept),
            counted: read(&totals.counted),
            dropped: read(&totals.dropped),
            dropped_counts: read(&totals.dropped_counts),
            write_failures: read(&totals.write_failures),
        }
    }
}

#[cfg(test)]
mod tests;

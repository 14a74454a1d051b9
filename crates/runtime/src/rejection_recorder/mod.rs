//! Records rejected events and refused requests after the response: a sample of the events, and
//! counts of all of them.
//!
//! A request pays for its rejected events with a short lock and copies of the kept ones. It waits for
//! no database: a thread writes, and drops events while the database is away. Everything is
//! bounded: memory, a tenant's kept events a second, its groups of counts, and the writes a second.

mod bounds;
mod counts;
mod thread;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mercurio_domain::ids::IdGenerator;
use mercurio_domain::store::{RejectedEvent, RejectionKind, Rejections};
use mercurio_domain::verdict::FieldError;
use mercurio_domain::{Owner, Timestamp};
use mercurio_observability::metrics::RejectionsReading;
use slog::Logger;
use uuid::Uuid;

use counts::{Counts, GroupRef};
use thread::{Pauses, WriterThread};

/// Maximum events in memory.
const MAX_EVENTS: usize = 2_000;
/// Maximum bytes of events in memory.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a kept event beyond its text.
const EVENT_OVERHEAD: usize = 1_024;

/// The bounds of a tenant on one server, above which rejected events are counted but not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectionBounds {
    /// Maximum kept events a second; 0 keeps none.
    pub events_per_second: u32,
    /// Maximum bytes of kept events a second; 0 keeps none.
    pub bytes_per_second: u64,
}

impl Default for RejectionBounds {
    /// 100 events and 1 MiB a second.
    fn default() -> Self {
        Self { events_per_second: 100, bytes_per_second: 1024 * 1024 }
    }
}

/// A rejected event, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct CountedRejection<'a> {
    /// All errors of the event.
    pub errors: &'a [FieldError],
    /// JSON pointer of the event in its request, the beginning of those of its errors.
    pub pointer: &'a str,
    /// The name, also an invalid one.
    pub event_name: Option<&'a str>,
    /// Bytes of the event that would be kept.
    pub bytes: usize,
}

/// A rejected event to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptRejection {
    /// Index among the counted events.
    pub index: usize,
    /// The id of the rejection.
    pub id: Uuid,
    /// Room reserved for it.
    bytes: usize,
}

/// Accepts rejections from request handlers.
#[derive(Clone)]
pub struct RejectionRecorderHandle(Arc<Shared>);

/// Writes rejections on a thread of its own.
pub struct RejectionRecorder {
    handle: RejectionRecorderHandle,
    /// Ends with the thread; `None` if nothing is recorded.
    ended: Option<Receiver<()>>,
}

struct Shared {
    /// `None`: nothing is kept or counted.
    bounds: Option<RejectionBounds>,
    ids: Arc<dyn IdGenerator>,
    state: Mutex<State>,
    /// Something is pending.
    pending: Condvar,
    closed: Condvar,
    totals: Totals,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    queue: VecDeque<RejectedEvent>,
    queue_bytes: usize,
    /// Room for events that are being copied.
    reserved_events: usize,
    reserved_bytes: usize,
    /// The last write failed: events are counted only.
    is_failing: bool,
    is_closed: bool,
    /// Changes the event of a request with which the sample begins.
    requests: usize,
}

#[derive(Debug, Default)]
struct Totals {
    kept: AtomicU64,
    counted: AtomicU64,
    dropped: AtomicU64,
    dropped_counts: AtomicU64,
    write_failures: AtomicU64,
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

impl State {
    fn is_idle(&self) -> bool {
        self.counts.is_empty() && self.queue.is_empty()
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.queue.len() + self.reserved_events < MAX_EVENTS
            && self.queue_bytes + self.reserved_bytes + bytes <= MAX_BYTES
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread for the first thing after a pause.
    fn notify(&self, state: &State, was_idle: bool) {
        if was_idle && !state.is_idle() {
            self.pending.notify_one();
        }
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.pending.notify_all();
        self.closed.notify_all();
    }

    fn add(
        &self,
        state: &mut State,
        bounds: &RejectionBounds,
        group: &GroupRef<'_>,
        now: Instant,
    ) -> Option<counts::Counted> {
        let counted = state.counts.add(bounds, group, now);
        if counted.is_none() {
            self.totals.dropped_counts.fetch_add(1, Ordering::Relaxed);
        }
        counted
    }

    fn count_events(
        &self,
        owner: Owner,
        received_at: Timestamp,
        events: &[CountedRejection<'_>],
        now: Instant,
    ) -> Vec<KeptRejection> {
        let Some(bounds) = &self.bounds else { return Vec::new() };
        let total = GroupRef::new(owner, received_at, RejectionKind::Event, "");
        let (mut kept, mut examples) = (Vec::new(), Vec::new());
        let mut state = self.lock();
        let was_idle = state.is_idle();
        // Clients put the oldest event first: a sample of first events would be one of old events.
        let first = state.requests % events.len().max(1);
        state.requests = state.requests.wrapping_add(1);
        let (before, after) = events.split_at(first);
        for (offset, event) in after.iter().chain(before).enumerate() {
            examples.clear();
            self.add(&mut state, bounds, &total, now);
            for error in event.errors {
                let pointer = error.pointer.strip_prefix(event.pointer);
                let pointer = pointer.unwrap_or(&error.pointer);
                let kind = RejectionKind::Error;
                let group = GroupRef::new(owner, received_at, kind, error.code.as_str())
                    .of(pointer, event.event_name.unwrap_or_default());
                examples.extend(self.add(&mut state, bounds, &group, now));
            }
            let is_first = examples.iter().any(|counted| counted.is_first);
            let bytes = event.bytes + EVENT_OVERHEAD;
            let is_kept = !state.is_failing
                && !state.is_closed
                && state.has_room(bytes)
                && state.counts.take_tokens(bounds, &total, bytes, is_first, now);
            if !is_kept {
                self.totals.counted.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let id = self.ids.next_uuid();
            for counted in &examples {
                state.counts.add_example(*counted, id);
            }
            state.reserved_events += 1;
            state.reserved_bytes += bytes;
            kept.push(KeptRejection { index: (first + offset) % events.len(), id, bytes });
        }
        self.notify(&state, was_idle);
        kept
    }

    fn keep(&self, kept: &[KeptRejection], events: Vec<RejectedEvent>) {
        let mut state = self.lock();
        let was_idle = state.is_idle();
        state.reserved_events -= kept.len();
        state.reserved_bytes -= kept.iter().map(|kept| kept.bytes).sum::<usize>();
        state.queue_bytes += events.iter().map(queued_bytes).sum::<usize>();
        state.queue.extend(events);
        self.notify(&state, was_idle);
    }
}

fn queued_bytes(event: &RejectedEvent) -> usize {
    let errors = event.errors.iter().map(|error| error.pointer.len() + error.message.len());
    event.event.len() + errors.sum::<usize>() + EVENT_OVERHEAD
}

/// Returns the beginning of a text: at most `max_chars` characters.
#[must_use]
pub fn cut(text: Cow<'_, str>, max_chars: usize) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(max_chars) else { return text };
    match text {
        Cow::Borrowed(text) => text[..end].into(),
        Cow::Owned(mut text) => {
            text.truncate(end);
            text.into()
        }
    }
}

#[cfg(test)]
mod tests;

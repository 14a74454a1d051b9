//! The state that request handlers share with the writer thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mercurio_domain::ids::IdGenerator;
use mercurio_domain::store::{RejectedEvent, RejectionKind};
use mercurio_domain::verdict::FieldError;
use mercurio_domain::{Owner, Timestamp};
use uuid::Uuid;

use super::bounds::RejectionBounds;
use super::counts::{Counted, Counts, GroupRef};

/// Maximum events in memory.
pub(super) const MAX_EVENTS: usize = 2_000;
/// Maximum bytes of events in memory.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a kept event beyond its text.
const EVENT_OVERHEAD: usize = 1_024;

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

pub(super) struct Shared {
    /// `None`: nothing is kept or counted.
    pub(super) bounds: Option<RejectionBounds>,
    pub(super) ids: Arc<dyn IdGenerator>,
    pub(super) state: Mutex<State>,
    /// Something is pending.
    pub(super) pending: Condvar,
    /// No request is copying events.
    pub(super) copied: Condvar,
    pub(super) closed: Condvar,
    pub(super) totals: Totals,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) counts: Counts,
    pub(super) queue: VecDeque<RejectedEvent>,
    pub(super) queue_bytes: usize,
    /// Room for events that are being copied.
    pub(super) reserved_events: usize,
    pub(super) reserved_bytes: usize,
    /// The last write failed: events are counted only.
    pub(super) is_failing: bool,
    pub(super) is_closed: bool,
    /// Changes the event of a request with which the sample begins.
    pub(super) requests: usize,
}

#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) kept: AtomicU64,
    pub(super) counted: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) dropped_counts: AtomicU64,
    pub(super) write_failures: AtomicU64,
}

impl State {
    pub(super) fn is_idle(&self) -> bool {
        self.counts.is_empty() && self.queue.is_empty()
    }

    pub(super) fn is_copying(&self) -> bool {
        self.reserved_events > 0
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.queue.len() + self.reserved_events < MAX_EVENTS
            && self.queue_bytes + self.reserved_bytes + bytes <= MAX_BYTES
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread for the first thing after a pause.
    pub(super) fn notify(&self, state: &State, was_idle: bool) {
        if was_idle && !state.is_idle() {
            self.pending.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.pending.notify_all();
        self.closed.notify_all();
    }

    pub(super) fn add(
        &self,
        state: &mut State,
        bounds: &RejectionBounds,
        group: &GroupRef<'_>,
        now: Instant,
    ) -> Option<Counted> {
        let counted = state.counts.add(bounds, group, now);
        if counted.is_none() {
            self.totals.dropped_counts.fetch_add(1, Ordering::Relaxed);
        }
        counted
    }

    pub(super) fn count_events(
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

    pub(super) fn keep(&self, kept: &[KeptRejection], events: Vec<RejectedEvent>) {
        let mut state = self.lock();
        let was_idle = state.is_idle();
        state.reserved_events -= kept.len();
        state.reserved_bytes -= kept.iter().map(|kept| kept.bytes).sum::<usize>();
        state.queue_bytes += events.iter().map(queued_bytes).sum::<usize>();
        state.queue.extend(events);
        if !state.is_copying() {
            self.copied.notify_all();
        }
        self.notify(&state, was_idle);
    }
}

pub(super) fn queued_bytes(event: &RejectedEvent) -> usize {
    let errors = event.errors.iter().map(|error| error.pointer.len() + error.message.len());
    event.event.len() + errors.sum::<usize>() + EVENT_OVERHEAD
}

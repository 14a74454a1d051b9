//! The hub: which workspaces are watched, and who gets what.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mercurio_domain::Owner;

use super::inbox::{Delivery, Inbox};
use super::message::{Envelope, Message, Missed};
use super::notice::Notice;
use super::state::{Outgoing, TailOptions, TailRefusal, TailState};

/// Time after which an announcement expires: two may be lost.
const WATCHED_FOR: Duration = Duration::from_secs(30);
/// Maximum wait of the sender, so that announcements are sent and expire in time.
const SENDER_TICK: Duration = Duration::from_secs(1);

/// Totals since the start, and the tails now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TailCounts {
    /// Tails now.
    pub subscribers: u64,
    /// Notices passed on by this server, to its tails or to other servers.
    pub notices: u64,
    /// Duplicates and rejected events that this server did not pass on.
    pub missed: u64,
}

/// What a request reports about its events.
#[derive(Debug, Default)]
pub struct TailReport {
    /// Whether events were accepted.
    pub has_accepted: bool,
    /// As many as [`TailHub::take_room`] returned.
    pub notices: Vec<Notice>,
    /// The others.
    pub missed: Missed,
}

/// The tails of a server. Clones share them.
#[derive(Clone)]
pub struct TailHub {
    shared: Arc<SharedTails>,
}

struct SharedTails {
    server_id: String,
    options: TailOptions,
    /// Number of watched workspaces, by this server or others.
    watched: AtomicUsize,
    /// Whether a thread sends the texts.
    has_sender: AtomicBool,
    state: Mutex<TailState>,
    changed: Condvar,
    notices: AtomicU64,
    missed: AtomicU64,
}

impl TailHub {
    /// Starts without tails. `server_id` differs from that of all other servers, and has no space.
    #[must_use]
    pub fn new(server_id: String, options: TailOptions) -> Self {
        debug_assert!(!server_id.contains(' '), "a space ends the id in a text");
        Self {
            shared: Arc::new(SharedTails {
                server_id,
                options,
                watched: AtomicUsize::new(0),
                has_sender: AtomicBool::new(false),
                state: Mutex::default(),
                changed: Condvar::new(),
                notices: AtomicU64::new(0),
                missed: AtomicU64::new(0),
            }),
        }
    }

    /// Begins a tail of a workspace.
    ///
    /// # Errors
    /// [`TailRefusal`] over a limit, or after [`TailHub::close`].
    pub fn subscribe(&self, owner: Owner) -> Result<Subscription, TailRefusal> {
        let mut state = self.lock();
        let (id, inbox) = state.subscribe(owner, &self.shared.options)?;
        self.note_watched(&state);
        // The other servers should hear of it at once.
        self.shared.changed.notify_all();
        drop(state);
        Ok(Subscription { hub: self.clone(), owner, id, inbox })
    }

    fn unsubscribe(&self, owner: Owner, id: u64) {
        let mut state = self.lock();
        state.unsubscribe(owner, id, Instant::now());
        self.note_watched(&state);
    }

    /// Whether a server has a tail of the workspace. Without any tail, this is one relaxed load: a
    /// request that misses a tail that begins at this moment is no loss, since the tail looks for
    /// accepted events itself.
    #[must_use]
    pub fn is_watched(&self, owner: Owner) -> bool {
        self.shared.watched.load(Ordering::Relaxed) > 0
            && self.lock().is_watched(owner, Instant::now())
    }

    /// Returns how many of `wanted` notices of a watched workspace may be reported now.
    #[must_use]
    pub fn take_room(&self, owner: Owner, wanted: usize) -> usize {
        if wanted == 0 {
            return 0;
        }
        let limit = self.shared.options.notices_per_second;
        self.lock().take_room(owner, wanted, limit, Instant::now())
    }

    /// Reports the events of a request, after their commit. Never blocks on the database.
    pub fn report(&self, owner: Owner, report: TailReport) {
        let TailReport { has_accepted, notices, missed } = report;
        self.shared.notices.fetch_add(notices.len() as u64, Ordering::Relaxed);
        self.shared.missed.fetch_add(missed.total(), Ordering::Relaxed);
        let notices: Vec<_> = notices.into_iter().map(Arc::new).collect();
        let has_sender = self.shared.has_sender.load(Ordering::Relaxed);
        let mut state = self.lock();
        let mut lost = state.deliver(owner, has_accepted, &notices, missed);
        if has_sender && state.is_watched_elsewhere(owner, Instant::now()) {
            lost += state.queue(owner, has_accepted, &notices, missed);
            self.shared.changed.notify_all();
        }
        drop(state);
        self.shared.missed.fetch_add(lost, Ordering::Relaxed);
    }

    /// Takes in a text of any server.
    pub fn receive(&self, text: &str) {
        let Some(envelope) = Envelope::parse(text) else { return };
        if envelope.sender == self.shared.server_id {
            return;
        }
        if envelope.is_question() {
            self.lock().announce(Instant::now());
            self.shared.changed.notify_all();
            return;
        }
        let owner = envelope.owner;
        if envelope.is_announcement() {
            let mut state = self.lock();
            state.note_elsewhere(owner, Instant::now() + WATCHED_FOR);
            self.note_watched(&state);
            return;
        }
        // A server without a tail of the workspace parses no further, and none does so under the
        // lock.
        if !self.lock().has_tails(owner) {
            return;
        }
        let Some(message) = envelope.message() else { return };
        let Message { is_woken, missed, notices } = message;
        let notices: Vec<_> = notices.into_iter().map(Arc::new).collect();
        let lost = self.lock().deliver(owner, is_woken, &notices, missed);
        self.shared.missed.fetch_add(lost, Ordering::Relaxed);
    }

    /// Exchanges the announcements of all servers, and lets tails look for accepted events. To be
    /// called when texts begin to arrive: earlier ones were lost.
    pub fn resume(&self) {
        self.lock().resume(Instant::now());
        self.shared.changed.notify_all();
    }

    /// Ends all tails, at once and for ever.
    pub fn close(&self) {
        let mut state = self.lock();
        state.close();
        self.note_watched(&state);
        self.shared.changed.notify_all();
    }

    /// Returns the totals.
    #[must_use]
    pub fn counts(&self) -> TailCounts {
        TailCounts {
            subscribers: self.lock().subscribers as u64,
            notices: self.shared.notices.load(Ordering::Relaxed),
            missed: self.shared.missed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn expect_sender(&self) {
        self.shared.has_sender.store(true, Ordering::Relaxed);
    }

    pub(super) fn note_lost(&self, notices: u64) {
        self.shared.missed.fetch_add(notices, Ordering::Relaxed);
    }

    /// Waits for texts to send. `None` after [`TailHub::close`].
    pub(super) fn next_outgoing(&self) -> Option<Outgoing> {
        let shared = &self.shared;
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            let outgoing = state.take_outgoing(&shared.server_id, Instant::now());
            // Workspaces whose announcements have expired are gone.
            self.note_watched(&state);
            if !outgoing.texts.is_empty() {
                return Some(outgoing);
            }
            let wait = shared.changed.wait_timeout(state, SENDER_TICK);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn note_watched(&self, state: &TailState) {
        self.shared.watched.store(state.watched(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, TailState> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscription. Dropping it ends it.
pub struct Subscription {
    hub: TailHub,
    owner: Owner,
    id: u64,
    inbox: Arc<Inbox>,
}

impl Subscription {
    /// Takes what has happened since the last call.
    #[must_use]
    pub fn take(&self) -> Delivery {
        self.inbox.take()
    }

    /// Waits until something happens; not at all if something has since the last call.
    pub async fn changed(&self) {
        self.inbox.changed().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.unsubscribe(self.owner, self.id);
    }
}

#[cfg(test)]
mod tests;

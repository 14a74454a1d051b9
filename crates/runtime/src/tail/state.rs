//! The watched workspaces of a server, and the texts it is about to send. Callers hold the lock and
//! pass the time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mercurio_domain::{Owner, TenantId};

use super::inbox::Inbox;
use super::message::{self, Message, Missed};
use super::notice::{Notice, NoticeStatus};

/// Interval of the announcement that a workspace is watched.
pub(super) const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);
/// Maximum notices of all workspaces that wait to be sent.
const MAX_QUEUED: usize = 1_000;
/// Maximum workspaces that other servers watch. Further ones are not noted.
const MAX_ELSEWHERE: usize = 10_000;

/// The bounds of a server's tails.
#[derive(Debug, Clone)]
pub struct TailOptions {
    /// Maximum tails of the server. Each takes memory for a page of events.
    pub subscribers: usize,
    /// Maximum tails of one tenant.
    pub tenant_subscribers: usize,
    /// Maximum notices that the server passes on for a workspace, per second.
    pub notices_per_second: u32,
}

impl Default for TailOptions {
    /// 100 tails, 10 of one tenant; 100 notices a second.
    fn default() -> Self {
        Self { subscribers: 100, tenant_subscribers: 10, notices_per_second: 100 }
    }
}

/// Why a tail does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailRefusal {
    /// The tenant has its maximum of tails, this number.
    TenantLimit(usize),
    /// The server has its maximum of tails.
    ServerLimit,
    /// The server ends all tails.
    Closed,
}

/// Texts for the other servers.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) texts: Vec<String>,
    /// The notices in them.
    pub(super) notices: u64,
}

/// A workspace with a tail, on this server or another.
#[derive(Debug)]
struct WatchedWorkspace {
    tails: HashMap<u64, Arc<Inbox>>,
    /// When to announce the tails of this server.
    announce_at: Instant,
    /// Until when another server watches it.
    elsewhere_until: Option<Instant>,
    /// Start of the second in which `used` notices were passed on.
    second: Instant,
    used: usize,
}

impl WatchedWorkspace {
    fn new(now: Instant) -> Self {
        Self {
            tails: HashMap::new(),
            announce_at: now,
            elsewhere_until: None,
            second: now,
            used: 0,
        }
    }

    fn is_watched_elsewhere(&self, now: Instant) -> bool {
        self.elsewhere_until.is_some_and(|until| now < until)
    }
}

/// The state of a hub.
#[derive(Debug, Default)]
pub(super) struct TailState {
    pub(super) is_closed: bool,
    pub(super) subscribers: usize,
    last_id: u64,
    /// Tails by tenant. A tenant without one has no entry.
    tenants: HashMap<TenantId, usize>,
    workspaces: HashMap<Owner, WatchedWorkspace>,
    /// Whether to ask the other servers for their announcements.
    asks: bool,
    outgoing: HashMap<Owner, QueuedMessage>,
    /// Notices in `outgoing`.
    queued: usize,
}

#[derive(Debug, Default)]
struct QueuedMessage {
    is_woken: bool,
    missed: Missed,
    notices: Vec<Arc<Notice>>,
}

impl TailState {
    pub(super) fn subscribe(
        &mut self,
        owner: Owner,
        options: &TailOptions,
    ) -> Result<(u64, Arc<Inbox>), TailRefusal> {
        if self.is_closed {
            return Err(TailRefusal::Closed);
        }
        let of_tenant = self.tenants.get(&owner.tenant_id).copied().unwrap_or(0);
        // First: a tenant over its limit must not believe the server is full.
        if of_tenant >= options.tenant_subscribers {
            return Err(TailRefusal::TenantLimit(options.tenant_subscribers));
        }
        if self.subscribers >= options.subscribers {
            return Err(TailRefusal::ServerLimit);
        }
        self.tenants.insert(owner.tenant_id, of_tenant + 1);
        self.subscribers += 1;
        self.last_id += 1;
        let inbox = Arc::new(Inbox::default());
        let now = Instant::now();
        let workspace = self.workspaces.entry(owner).or_insert_with(|| WatchedWorkspace::new(now));
        if workspace.tails.is_empty() {
            workspace.announce_at = now;
        }
        workspace.tails.insert(self.last_id, Arc::clone(&inbox));
        Ok((self.last_id, inbox))
    }

    pub(super) fn unsubscribe(&mut self, owner: Owner, id: u64, now: Instant) {
        if let Entry::Occupied(mut tails) = self.tenants.entry(owner.tenant_id) {
            *tails.get_mut() -= 1;
            if *tails.get() == 0 {
                tails.remove();
            }
        }
        debug_assert!(self.subscribers > 0, "each end has a beginning");
        self.subscribers -= 1;
        if let Some(workspace) = self.workspaces.get_mut(&owner) {
            workspace.tails.remove(&id);
            if workspace.tails.is_empty() && !workspace.is_watched_elsewhere(now) {
                self.workspaces.remove(&owner);
            }
        }
    }

    /// Number of watched workspaces.
    pub(super) fn watched(&self) -> usize {
        self.workspaces.len()
    }

    pub(super) fn is_watched(&self, owner: Owner, now: Instant) -> bool {
        self.workspaces.get(&owner).is_some_and(|workspace| {
            !workspace.tails.is_empty() || workspace.is_watched_elsewhere(now)
        })
    }

    /// Whether this server has a tail of the workspace.
    pub(super) fn has_tails(&self, owner: Owner) -> bool {
        self.workspaces.get(&owner).is_some_and(|workspace| !workspace.tails.is_empty())
    }

    pub(super) fn is_watched_elsewhere(&self, owner: Owner, now: Instant) -> bool {
        self.workspaces.get(&owner).is_some_and(|workspace| workspace.is_watched_elsewhere(now))
    }

    /// Notes that another server watches a workspace.
    pub(super) fn note_elsewhere(&mut self, owner: Owner, until: Instant) {
        let is_full = self.is_closed || self.workspaces.len() >= MAX_ELSEWHERE;
        match self.workspaces.entry(owner) {
            Entry::Occupied(mut workspace) => workspace.get_mut().elsewhere_until = Some(until),
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(entry) => {
                entry.insert(WatchedWorkspace::new(Instant::now())).elsewhere_until = Some(until);
            }
        }
    }

    pub(super) fn take_room(
        &mut self,
        owner: Owner,
        wanted: usize,
        per_second: u32,
        now: Instant,
    ) -> usize {
        let Some(workspace) = self.workspaces.get_mut(&owner) else { return 0 };
        if now.saturating_duration_since(workspace.second) >= Duration::from_secs(1) {
            (workspace.second, workspace.used) = (now, 0);
        }
        let room = wanted.min((per_second as usize).saturating_sub(workspace.used));
        workspace.used += room;
        room
    }

    /// Delivers to the tails of this server. Returns the number of notices lost on the way.
    pub(super) fn deliver(
        &self,
        owner: Owner,
        is_woken: bool,
        notices: &[Arc<Notice>],
        missed: Missed,
    ) -> u64 {
        let Some(workspace) = self.workspaces.get(&owner) else { return 0 };
        if !is_woken && notices.is_empty() && missed.is_none() {
            return 0;
        }
        workspace.tails.values().map(|inbox| inbox.deliver(is_woken, notices, missed)).sum()
    }

    /// Queues for the other servers. Returns the number of notices without room.
    pub(super) fn queue(
        &mut self,
        owner: Owner,
        is_woken: bool,
        notices: &[Arc<Notice>],
        missed: Missed,
    ) -> u64 {
        let message = self.outgoing.entry(owner).or_default();
        message.is_woken |= is_woken;
        message.missed.add(missed);
        let mut lost = 0;
        for notice in notices {
            if self.queued < MAX_QUEUED {
                self.queued += 1;
                message.notices.push(Arc::clone(notice));
                continue;
            }
            lost += 1;
            match notice.status {
                NoticeStatus::Duplicate => message.missed.duplicates += 1,
                NoticeStatus::Rejected => message.missed.rejected += 1,
            }
        }
        lost
    }

    /// Takes the texts to send, with the announcements that are due, and forgets workspaces that are
    /// no longer watched.
    pub(super) fn take_outgoing(&mut self, server_id: &str, now: Instant) -> Outgoing {
        let mut texts = Vec::new();
        if std::mem::take(&mut self.asks) {
            texts.push(message::question(server_id));
        }
        self.workspaces.retain(|_, workspace| {
            !workspace.tails.is_empty() || workspace.is_watched_elsewhere(now)
        });
        for (owner, workspace) in &mut self.workspaces {
            if !workspace.tails.is_empty() && workspace.announce_at <= now {
                workspace.announce_at = now + ANNOUNCE_EVERY;
                texts.push(message::announcement(server_id, *owner));
            }
        }
        let notices = std::mem::take(&mut self.queued) as u64;
        for (owner, queued) in self.outgoing.drain() {
            let QueuedMessage { is_woken, missed, notices } = queued;
            let notices = notices.iter().map(|notice| Notice::clone(notice)).collect();
            let message = Message { is_woken, missed, notices };
            texts.extend(message::texts(server_id, owner, &message));
        }
        Outgoing { texts, notices }
    }

    /// Announces all tails again.
    pub(super) fn announce(&mut self, now: Instant) {
        for workspace in self.workspaces.values_mut() {
            workspace.announce_at = now;
        }
    }

    pub(super) fn resume(&mut self, now: Instant) {
        self.asks = true;
        self.announce(now);
        for inbox in self.workspaces.values().flat_map(|workspace| workspace.tails.values()) {
            inbox.wake();
        }
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.outgoing.clear();
        self.queued = 0;
        for (_, workspace) in self.workspaces.drain() {
            for inbox in workspace.tails.values() {
                inbox.close();
            }
        }
    }
}

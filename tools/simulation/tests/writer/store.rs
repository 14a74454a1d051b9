//! A store that fails in every way: before, in and after the commit, for one call or a while, with
//! a broken connection or without, slowly, and for some submissions always.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mercurio_domain::event::EnrichedEvent;
use mercurio_domain::ids::{EventKey, TenantId};
use mercurio_domain::store::{EventWriter, StoreError, Submission};
use mercurio_domain::verdict::Outcome;
use mercurio_simulation::pass_time;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::{self, ThreadId};

use super::history::{History, Returned};

/// Name of the events that the store always refuses.
pub(crate) const GUILTY: &str = "guilty";

/// Longest pause of one step in the store or the observer.
pub(crate) const LONGEST_PAUSE_MILLIS: u64 = 5;

/// The state of the database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Up,
    /// Nothing works.
    Down,
    /// Probes succeed, and groups fail.
    Deceptive,
}

pub(crate) struct FaultyStore {
    history: Arc<History>,
    state: Mutex<State>,
}

struct State {
    /// The keys of all committed events.
    keys: HashMap<TenantId, HashSet<EventKey>>,
    server: Server,
    /// Calls that fail until the broken connections are replaced.
    broken_calls: u32,
    /// Share of the calls that fail while the server is up.
    faults: f64,
    /// By writer thread, the call that failed with an unknown error. A probe must follow.
    unknown: HashMap<ThreadId, usize>,
}

/// The moment at which a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    BeforeBegin,
    BeforeCommit,
    AfterCommit,
    /// Any other error; nothing is stored.
    Internal,
}

impl FaultyStore {
    pub(crate) fn new(history: Arc<History>, faults: f64) -> Self {
        let state = State {
            keys: HashMap::new(),
            server: Server::Up,
            broken_calls: 0,
            faults,
            unknown: HashMap::new(),
        };
        Self { history, state: Mutex::new(state) }
    }

    pub(crate) fn set_server(&self, server: Server) {
        self.history.note(&format!("server: {server:?}"));
        self.state().server = server;
    }

    /// From here on, only guilty events fail.
    pub(crate) fn heal(&self) {
        self.history.note("healed");
        let mut state = self.state();
        state.server = Server::Up;
        state.broken_calls = 0;
        state.faults = 0.0;
    }

    /// Whether all these events are stored.
    pub(crate) fn holds(&self, tenant: i64, events: &[EnrichedEvent]) -> bool {
        let state = self.state();
        let keys = state.keys.get(&TenantId(tenant));
        keys.is_some_and(|keys| events.iter().all(|event| keys.contains(&event.key())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the call of this thread that failed with an unknown error.
    fn take_unknown(&self) -> Option<usize> {
        self.state().unknown.remove(&thread::current().id())
    }

    fn write(&self, group: &[Submission]) -> Returned {
        let fault = self.state().draw_fault();
        if fault == Some(Fault::BeforeBegin) {
            return Returned::Unavailable;
        }
        pause();
        if group.iter().any(is_guilty) {
            return Returned::Refused;
        }
        match fault {
            Some(Fault::Internal) => return Returned::Internal,
            Some(Fault::BeforeCommit) => return Returned::Unavailable,
            _ => {}
        }
        let outcomes = {
            let mut state = self.state();
            // The server may be down by now.
            if state.server != Server::Up {
                return Returned::Unavailable;
            }
            state.commit(group)
        };
        pause();
        if fault == Some(Fault::AfterCommit) || self.state().server != Server::Up {
            self.history.note("the answer to the commit is lost");
            return Returned::Unavailable;
        }
        Returned::Stored(outcomes)
    }
}

impl EventWriter for FaultyStore {
    fn append(&self, group: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        // The workspace is the number of the attempt.
        let attempts = group.iter().map(attempt_of).collect();
        let call = self.history.enter(attempts);
        if let Some(call) = self.take_unknown() {
            self.history.violate(format!("call {call} is not followed by a probe"));
        }
        pause();
        let returned = self.write(group);
        pause();
        if self.history.leave(call, returned.clone()) {
            self.state().unknown.insert(thread::current().id(), call);
        }
        match returned {
            Returned::Stored(outcomes) => Ok(outcomes),
            Returned::Unavailable => Err(StoreError::Unavailable("simulated".into())),
            Returned::Refused => Err(StoreError::Refused("simulated".into())),
            Returned::Internal => Err(StoreError::Internal("simulated".into())),
        }
    }

    fn ping(&self) -> Result<(), StoreError> {
        let unknown = self.take_unknown();
        self.history.enter_probe(unknown);
        pause();
        let is_ok = self.state().probe();
        self.history.leave_probe(unknown, is_ok);
        if is_ok { Ok(()) } else { Err(StoreError::Unavailable("simulated".into())) }
    }
}

impl State {
    fn draw_fault(&mut self) -> Option<Fault> {
        if self.server != Server::Up || self.fails_by_connection() {
            return Some(Fault::BeforeBegin);
        }
        if !thread_rng().gen_bool(self.faults) {
            return None;
        }
        let fault = match thread_rng().gen_range(0..4) {
            0 => Fault::BeforeBegin,
            1 => Fault::BeforeCommit,
            2 => Fault::AfterCommit,
            _ => Fault::Internal,
        };
        // Some errors break the connection, and those of other threads.
        if fault != Fault::Internal {
            self.broken_calls = thread_rng().gen_range(0..4);
        }
        Some(fault)
    }

    fn probe(&mut self) -> bool {
        let is_up = self.server != Server::Down && !self.fails_by_connection();
        is_up && !thread_rng().gen_bool(self.faults)
    }

    fn fails_by_connection(&mut self) -> bool {
        let is_broken = self.broken_calls > 0;
        self.broken_calls = self.broken_calls.saturating_sub(1);
        is_broken
    }

    fn commit(&mut self, group: &[Submission]) -> Vec<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(group.len());
        for submission in group {
            let keys = self.keys.entry(submission.owner.tenant_id).or_default();
            let mut of_one = Vec::with_capacity(submission.events.len());
            for event in &submission.events {
                let is_new = keys.insert(event.key());
                of_one.push(if is_new { Outcome::Accepted } else { Outcome::Duplicate });
            }
            outcomes.push(of_one);
        }
        outcomes
    }
}

fn is_guilty(submission: &Submission) -> bool {
    submission.events.iter().any(|event| event.parts().event_name.as_str() == GUILTY)
}

fn attempt_of(submission: &Submission) -> usize {
    usize::try_from(submission.owner.workspace_id.0).expect("the number of an attempt")
}

/// Lets other threads run, and sometimes time pass.
pub(crate) fn pause() {
    match thread_rng().gen_range(0..4) {
        0 => pass_time(Duration::from_millis(thread_rng().gen_range(1..=LONGEST_PAUSE_MILLIS))),
        1 => thread::yield_now(),
        _ => {}
    }
}

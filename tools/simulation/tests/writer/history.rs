//! The history of a run: what clients were answered, and what the store did. Each step is compared
//! with the promises of the writer.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};

use mercurio_domain::verdict::Outcome;
use mercurio_simulation::Delivery;
use mercurio_simulation::writer::{QueueTime, SubmitError, WriterOptions};

/// The answer to one attempt.
pub(crate) type Answer = Result<Vec<Outcome>, SubmitError>;

/// One submission of a request. A retry is a new attempt.
#[derive(Default)]
struct Attempt {
    tenant: i64,
    /// Ids of the events, unique per tenant.
    ids: Vec<u32>,
    /// Set while or after the submission is queued.
    queued: Option<Queued>,
    /// Calls that had ended when the client saw it queued.
    queued_after: usize,
    answer: Option<Answer>,
    /// The store's calls with this attempt, in order.
    calls: Vec<usize>,
}

/// A queued submission, as its client sees it.
pub(crate) struct Queued {
    /// Set when the submission leaves the queue for the store.
    pub(crate) time: QueueTime,
    pub(crate) delivery: Arc<Delivery>,
}

/// The result of a call of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Returned {
    /// The outcomes by submission.
    Stored(Vec<Vec<Outcome>>),
    Unavailable,
    Refused,
    Internal,
}

/// A call of the store with a group.
struct Call {
    attempts: Vec<usize>,
    returned: Option<Returned>,
    /// Successful probes before it returned.
    probes_before: usize,
    /// After an unknown error, a probe found the store available.
    is_retried: bool,
}

#[derive(Default)]
pub(crate) struct History(Mutex<State>);

#[derive(Default)]
struct State {
    options: WriterOptions,
    attempts: Vec<Attempt>,
    calls: Vec<Call>,
    /// Writer threads inside the store.
    inside: usize,
    /// The newest probe, while it runs and after it failed.
    outage: Option<usize>,
    probes: usize,
    successful_probes: usize,
    ended_calls: usize,
    unavailable_calls: usize,
    /// The current writer has finished; its threads must not call the store.
    is_closed: bool,
    log: String,
    violation: Option<String>,
}

impl History {
    /// A writer starts.
    pub(crate) fn start(&self, options: &WriterOptions) {
        let mut state = self.state();
        state.options = options.clone();
        state.is_closed = false;
        state.outage = None;
        let (threads, events) = (options.threads, options.queue_events);
        state.note(&format!("start: {threads} threads, {events} events in the queue"));
    }

    /// The writer has answered everything, or says so.
    pub(crate) fn closed(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.note("closed");
        let unanswered = mercurio_simulation::unanswered();
        // A probe may still run; it concerns nobody.
        let running = state.calls.iter().filter(|call| call.returned.is_none()).count();
        if unanswered > 0 || running > 0 {
            state.violate(format!("closed with {unanswered} unanswered and {running} calls"));
        }
    }

    /// Returns the number of the new attempt.
    pub(crate) fn attempt(&self, tenant: i64, ids: &[u32]) -> usize {
        let mut state = self.state();
        state.attempts.push(Attempt { tenant, ids: ids.to_vec(), ..Attempt::default() });
        let number = state.attempts.len() - 1;
        state.note(&format!("attempt {number} of tenant {tenant}: {ids:?}"));
        number
    }

    pub(crate) fn queued(&self, attempt: usize, queued: Queued) {
        let mut state = self.state();
        state.attempts[attempt].queued_after = state.ended_calls;
        state.attempts[attempt].queued = Some(queued);
    }

    pub(crate) fn answered(&self, attempt: usize, answer: Answer) {
        let mut state = self.state();
        state.note(&format!("attempt {attempt} is answered {answer:?}"));
        if let Err(violation) = state.check_answer(attempt, &answer) {
            state.violate(format!("attempt {attempt} is answered {answer:?}: {violation}"));
        }
        state.attempts[attempt].answer = Some(answer);
    }

    /// The writer was available after this attempt was answered `Unavailable`.
    pub(crate) fn available_after(&self, attempt: usize) {
        let mut state = self.state();
        let Some(call) = state.attempts[attempt].calls.last() else { return };
        let is_probed = state.calls[*call].probes_before < state.successful_probes;
        // With several threads, a probe of an earlier outage may end after this failure.
        if state.options.threads == 1 && !is_probed {
            state.violate(format!("available after attempt {attempt} failed, without a probe"));
        }
    }

    /// Returns the number of the newest probe, if it runs or has failed. Until the next one ends,
    /// the queue takes nothing.
    pub(crate) fn outage(&self) -> Option<usize> {
        self.state().outage
    }

    /// A writer thread enters the store with a group. Returns the number of the call.
    pub(crate) fn enter(&self, attempts: Vec<usize>) -> usize {
        let mut state = self.state();
        let call = state.calls.len();
        state.note(&format!("call {call} with {attempts:?}"));
        if let Err(violation) = state.check_call(&attempts).and(state.check_turns(&attempts)) {
            state.violate(format!("call {call} with {attempts:?}: {violation}"));
        }
        for attempt in &attempts {
            state.attempts[*attempt].calls.push(call);
        }
        state.calls.push(Call { attempts, returned: None, probes_before: 0, is_retried: false });
        state.enter_store();
        call
    }

    /// A writer thread leaves the store. Returns whether a probe must follow: after an unknown error,
    /// unless the group is part of one that failed before.
    pub(crate) fn leave(&self, call: usize, returned: Returned) -> bool {
        let mut state = self.state();
        let is_first =
            state.calls[call].attempts.iter().all(|of_one| state.attempts[*of_one].calls == [call]);
        let is_unknown = is_first && returned == Returned::Internal;
        state.note(&format!("call {call} returns {returned:?}"));
        state.inside -= 1;
        state.ended_calls += 1;
        state.unavailable_calls += usize::from(returned == Returned::Unavailable);
        state.calls[call].probes_before = state.successful_probes;
        state.calls[call].returned = Some(returned);
        is_unknown
    }

    /// A writer thread probes the store: to find the end of an outage, or whether the unknown error
    /// of a call is one.
    pub(crate) fn enter_probe(&self, unknown: Option<usize>) {
        let mut state = self.state();
        state.note("probe");
        if unknown.is_none() {
            state.probes += 1;
            state.outage = Some(state.probes);
        }
        state.enter_store();
    }

    pub(crate) fn leave_probe(&self, unknown: Option<usize>, is_ok: bool) {
        let mut state = self.state();
        state.note(if is_ok { "probe succeeds" } else { "probe fails" });
        state.inside -= 1;
        if let Some(call) = unknown {
            if is_ok {
                state.calls[call].is_retried = true;
            } else {
                state.calls[call].returned = Some(Returned::Unavailable);
                state.unavailable_calls += 1;
            }
        } else if is_ok {
            state.outage = None;
            state.successful_probes += 1;
        }
    }

    /// All clients are done, and the last writer is closed.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        if let Err(violation) = state.check_accepted() {
            state.violate(violation);
        }
    }

    pub(crate) fn note(&self, text: &str) {
        self.state().note(text);
    }

    pub(crate) fn violate(&self, violation: String) {
        self.state().violate(violation);
    }

    /// Returns the first broken promise.
    pub(crate) fn violation(&self) -> Option<String> {
        self.state().violation.clone()
    }

    pub(crate) fn text(&self) -> String {
        self.state().log.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A violation that panics leaves nothing half done.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, text: &str) {
        let millis = mercurio_simulation::now().as_millis();
        writeln!(self.log, "{millis:>6} ms  {text}").expect("a string takes any text");
    }

    fn violate(&mut self, violation: String) {
        self.note(&format!("VIOLATION: {violation}"));
        // The first one is the cause.
        self.violation.get_or_insert(violation);
    }

    fn check_answer(&self, attempt: usize, answer: &Answer) -> Result<(), String> {
        let last = self.attempts[attempt].calls.last().map(|call| &self.calls[*call]);
        let stored = self.stored(attempt);
        match answer {
            Ok(outcomes) if stored != Some(outcomes) => {
                Err(format!("the store returned {stored:?}"))
            }
            Ok(_) => Ok(()),
            Err(_) if stored.is_some() => Err("it is stored".to_owned()),
            Err(SubmitError::Overloaded | SubmitError::ShuttingDown) => match last {
                Some(_) => Err("the store was called".to_owned()),
                None => Ok(()),
            },
            Err(SubmitError::Failed) => match last {
                Some(call) if call.attempts.len() == 1 && call.is_refused() => Ok(()),
                _ => Err("the store did not refuse it alone".to_owned()),
            },
            Err(SubmitError::Unavailable) => match last {
                Some(call) if call.attempts.len() == 1 && call.is_refused() => {
                    Err("the store refused it alone".to_owned())
                }
                _ if self.unavailable_calls == 0 => Err("the store was available".to_owned()),
                _ => Ok(()),
            },
        }
    }

    /// Returns the outcomes of the call that stored an attempt.
    fn stored(&self, attempt: usize) -> Option<&Vec<Outcome>> {
        self.attempts[attempt].calls.iter().find_map(|call| {
            let call = &self.calls[*call];
            let index = call.attempts.iter().position(|other| *other == attempt)?;
            match &call.returned {
                Some(Returned::Stored(outcomes)) => outcomes.get(index),
                _ => None,
            }
        })
    }

    fn check_call(&self, attempts: &[usize]) -> Result<(), String> {
        if self.is_closed {
            return Err("the writer is closed".to_owned());
        }
        let events: usize = attempts.iter().map(|attempt| self.attempts[*attempt].ids.len()).sum();
        let bound = self.options.group_events;
        if events > bound && attempts.len() > 1 {
            return Err(format!("{events} events; a group has {bound} at most"));
        }
        for (index, attempt) in attempts.iter().enumerate() {
            let Attempt { calls, answer, .. } = &self.attempts[*attempt];
            if answer.is_some() || attempts[..index].contains(attempt) {
                return Err(format!("attempt {attempt} is already answered or in this call"));
            }
            for call in calls.iter().map(|call| &self.calls[*call]) {
                // Only the halves of a refused group are written again, and once a group of one
                // whose error is unknown.
                let is_half = attempts.len() < call.attempts.len();
                let is_retry = call.is_retried && call.attempts.len() == 1;
                if !call.is_refused() || !(is_half || is_retry) {
                    return Err(format!("attempt {attempt} was already written"));
                }
            }
        }
        Ok(())
    }

    /// Tenants take turns: no tenant has two submissions more in a group than one that waits.
    fn check_turns(&self, attempts: &[usize]) -> Result<(), String> {
        // With several threads, another one may have taken the turn. Half a group has no turns.
        let is_half = attempts.iter().any(|attempt| !self.attempts[*attempt].calls.is_empty());
        if self.options.threads > 1 || is_half {
            return Ok(());
        }
        let mut turns: HashMap<i64, usize> = HashMap::new();
        for attempt in attempts {
            *turns.entry(self.attempts[*attempt].tenant).or_default() += 1;
        }
        let most = turns.values().copied().max().unwrap_or_default();
        for Attempt { tenant, .. } in
            self.attempts.iter().filter(|other| self.is_passed_over(other))
        {
            if most > turns.get(tenant).copied().unwrap_or_default() + 1 {
                return Err(format!("tenant {tenant} waits while another has {most} turns"));
            }
        }
        Ok(())
    }

    /// Whether an attempt was queued before the last call ended, and so before the group of the
    /// current call was taken.
    fn is_passed_over(&self, attempt: &Attempt) -> bool {
        attempt.is_queued() && attempt.queued_after < self.ended_calls
    }

    /// A writer thread is inside the store from here on.
    fn enter_store(&mut self) {
        self.inside += 1;
        if let Err(violation) = self.check_queue() {
            self.violate(violation);
        }
    }

    /// Compares the queue with its bounds. Exact while every writer thread is inside the store:
    /// then no submission is between the queue and the store.
    fn check_queue(&self) -> Result<(), String> {
        if self.inside < self.options.threads {
            return Ok(());
        }
        let mut load: HashMap<i64, Vec<usize>> = HashMap::new();
        for attempt in self.attempts.iter().filter(|attempt| attempt.is_queued()) {
            load.entry(attempt.tenant).or_default().push(attempt.ids.len());
        }
        let bound = self.options.queue_events;
        let share = bound * self.options.tenant_share_percent / 100;
        for (tenant, sizes) in &load {
            // A single submission may be larger than the share.
            if sizes.len() > 1 && sizes.iter().sum::<usize>() > share {
                return Err(format!("tenant {tenant} has {sizes:?} queued; its share is {share}"));
            }
        }
        let all: Vec<usize> = load.into_values().flatten().collect();
        if all.len() > 1 && all.iter().sum::<usize>() > bound {
            return Err(format!("{all:?} events are queued; the bound is {bound}"));
        }
        Ok(())
    }

    /// No event is accepted twice, whatever the retries.
    fn check_accepted(&self) -> Result<(), String> {
        // By tenant and event.
        let mut accepted: HashMap<i64, HashMap<u32, usize>> = HashMap::new();
        for (number, attempt) in self.attempts.iter().enumerate() {
            let Some(Ok(outcomes)) = &attempt.answer else { continue };
            for (id, outcome) in attempt.ids.iter().zip(outcomes) {
                let of_tenant = accepted.entry(attempt.tenant).or_default();
                if *outcome == Outcome::Accepted
                    && let Some(first) = of_tenant.insert(*id, number)
                {
                    return Err(format!("event {id} is accepted by attempts {first} and {number}"));
                }
            }
        }
        Ok(())
    }
}

impl Attempt {
    /// Whether the submission is in the queue, as far as its client knows.
    fn is_queued(&self) -> bool {
        match &self.queued {
            Some(queued) => queued.time.get().is_none() && !queued.delivery.is_sent(),
            None => false,
        }
    }
}

impl Call {
    fn is_refused(&self) -> bool {
        matches!(self.returned, Some(Returned::Refused | Returned::Internal))
    }
}

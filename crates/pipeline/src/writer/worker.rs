//! A writer thread: takes groups, writes and answers them, and probes an unavailable store.

use std::sync::Arc;
use std::time::Duration;

use mercurio_domain::store::{EventWriter, StoreError};

use crate::sync::{oneshot, thread};

use super::answer::{Answer, SubmitError};
use super::observer::WriterObserver;
use super::queue::{NextWork, PendingSubmission, SubmissionQueue};
use super::split;

/// Longest pause between two probes, as a multiple of the first.
const MAX_PAUSE_FACTOR: u32 = 10;

/// Used by the threads and the handles.
pub(super) struct SharedWriter {
    pub(super) queue: SubmissionQueue,
    pub(super) store: Arc<dyn EventWriter>,
    pub(super) observer: Arc<dyn WriterObserver>,
    pub(super) probe_interval: Duration,
}

/// Works until the queue is closed and empty.
pub(super) fn run(shared: &SharedWriter) {
    // Bound to a name: `_` alone would drop the guard here.
    let _abort_on_panic = AbortOnPanic;
    loop {
        match shared.queue.next() {
            NextWork::Group(group) => {
                write(shared, group);
                // After the answers: a shutdown that sees the queue idle may end the process.
                shared.queue.done();
            }
            NextWork::Probe => probe(shared),
            NextWork::Closed => return,
        }
    }
}

fn write(shared: &SharedWriter, group: Vec<PendingSubmission>) {
    let mut submissions = Vec::with_capacity(group.len());
    let mut answers = Vec::with_capacity(group.len());
    for pending in group {
        shared.observer.waited(pending.end_wait());
        submissions.push(pending.submission);
        answers.push(pending.answer);
    }
    let mut answers = answers.into_iter();
    let (store, observer) = (shared.store.as_ref(), shared.observer.as_ref());
    let written = split::append(store, observer, &submissions, &mut |result| {
        // A disconnected client does not undo its events.
        if let Some(sender) = answers.next() {
            sender.send(result).ok();
        }
    });
    if let Err(error) = written {
        refuse_all(shared, &error, answers.collect());
    }
}

/// Refuses the rest of a group, then everything in the queue.
fn refuse_all(shared: &SharedWriter, error: &StoreError, answers: Vec<oneshot::Sender<Answer>>) {
    // Before the answers, so that the queue refuses an immediate retry.
    let outage = shared.queue.set_unavailable();
    shared.observer.failed(answers.len(), error);
    // Several threads may meet the same outage; it is reported once.
    if outage.is_new {
        shared.observer.availability(false);
    }
    shared.observer.refused(answers.len() + outage.pending.len());
    let queued = outage.pending.into_iter().map(|pending| pending.answer);
    for answer in answers.into_iter().chain(queued) {
        answer.send(Err(SubmitError::Unavailable)).ok();
    }
}

/// Probes the store until it accepts a write again or the queue is closed. The pauses double up to
/// a maximum.
fn probe(shared: &SharedWriter) {
    let longest = shared.probe_interval * MAX_PAUSE_FACTOR;
    // The first probe is immediate: many outages are one broken connection.
    let mut pause = Duration::ZERO;
    while shared.queue.pause(pause) {
        if shared.store.probe().is_ok() {
            shared.observer.availability(true);
            break;
        }
        // The lower bound makes the pause after the first probe, the upper one keeps recovery
        // quick.
        pause = (pause * 2).clamp(shared.probe_interval, longest);
    }
    // Also when the queue was closed, so that no other thread starts a probe.
    shared.queue.set_available();
}

/// Aborts the process when its thread panics.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            // The group in flight may be committed or not, its clients would wait for an answer,
            // and the queue has one thread less to drain it. A restart resolves all three: clients
            // retry, and event ids prevent duplicates. The panic hook has already logged the panic.
            std::process::abort();
        }
    }
}

//! A writer thread: a thread that takes groups, has them written, and answers.

use std::time::{Duration, Instant};

use mercurio_domain::store::StoreError;

use super::queue::{NextWork, Pending};
use super::{Shared, SubmitError, split};

/// How much longer than at first a writer thread waits between two questions to a store that is away.
const LONGEST_PAUSE: u32 = 10;

/// Works until the queue is closed and empty. A panic in here ends the process.
pub(super) fn run(shared: &Shared) {
    let _ends_the_process = AbortOnPanic;
    loop {
        match shared.queue.next() {
            NextWork::Group(group) => {
                write(shared, group);
                shared.queue.done();
            }
            NextWork::Probe => probe(shared),
            NextWork::Closed => return,
        }
    }
}

fn write(shared: &Shared, group: Vec<Pending>) {
    let (mut submissions, mut answers) =
        (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
    for pending in group {
        shared.observer.waited(pending.end_wait());
        submissions.push(pending.submission);
        answers.push(pending.answer);
    }
    let mut answers = answers.into_iter();
    let unavailable = split::append(
        shared.store.as_ref(),
        shared.observer.as_ref(),
        &submissions,
        &mut |result| {
            if let Some(answer) = answers.next() {
                // A caller that is gone does not undo what was stored.
                answer.send(result).ok();
            }
        },
    );
    if let Err(error) = unavailable {
        refuse_all(shared, &error, answers.collect());
    }
}

/// The store is away: everybody is told, those of this group first.
fn refuse_all(
    shared: &Shared,
    error: &StoreError,
    answers: Vec<
        tokio::sync::oneshot::Sender<Result<Vec<mercurio_domain::verdict::Outcome>, SubmitError>>,
    >,
) {
    let (news, waiting) = shared.queue.set_unavailable();
    shared.observer.failed(answers.len(), error);
    if news {
        shared.observer.availability(false);
    }
    shared.observer.refused(answers.len() + waiting.len());
    for answer in answers.into_iter().chain(waiting.into_iter().map(|pending| pending.answer)) {
        answer.send(Err(SubmitError::Unavailable)).ok();
    }
}

/// Asks the store until it takes what is written, with longer and longer pauses, or the queue is closed.
fn probe(shared: &Shared) {
    let longest = shared.probe_interval * LONGEST_PAUSE;
    let mut pause = Duration::ZERO;
    while shared.queue.pause(pause) {
        if shared.store.probe().is_ok() {
            shared.observer.availability(true);
            break;
        }
        pause = (pause * 2).clamp(shared.probe_interval, longest);
    }
    shared.queue.set_available();
}

/// Times a call.
pub(super) fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = call();
    (result, start.elapsed())
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The panic hook has told what there is to tell.
            std::process::abort();
        }
    }
}

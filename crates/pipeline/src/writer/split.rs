//! Splits a failed group in half until only the submissions at fault fail.
//!
//! Each half is a transaction of its own, so all other submissions are stored. `n` submissions at
//! fault in a group of `m` cost at most about `2 n log2 m` extra transactions.

use std::time::Duration;

use mercurio_domain::store::{EventWriter, StoreError, Submission};
use mercurio_domain::verdict::Outcome;

use crate::sync::Instant;

use super::answer::{Answer, SubmitError};
use super::observer::{CommittedGroup, WriterObserver};

/// Writes a group and calls `answer` once per submission, in order.
///
/// # Errors
/// If the store becomes unavailable. The remaining submissions then have no answer yet.
pub(super) fn append(
    store: &dyn EventWriter,
    observer: &dyn WriterObserver,
    group: &[Submission],
    answer: &mut dyn FnMut(Answer),
) -> Result<(), StoreError> {
    let mut written = write(store, observer, group);
    if let Err(StoreError::Internal(cause)) = written {
        // The store may not know a full disk or a lost conflict by its message, in another language
        // for example. A probe finds the first. A second attempt, in halves for a larger group,
        // gets over the second.
        if store.probe().is_err() {
            return Err(StoreError::Unavailable(cause));
        }
        written = match group {
            [_] => write(store, observer, group),
            _ => Err(StoreError::Internal(cause)),
        };
    }
    settle(store, observer, group, written, answer)
}

fn write(
    store: &dyn EventWriter,
    observer: &dyn WriterObserver,
    group: &[Submission],
) -> Result<Vec<Vec<Outcome>>, StoreError> {
    let start = Instant::now();
    let outcomes = store.append(group)?;
    let took = start.elapsed();
    // A mismatch would answer a client with another's outcomes; the panic aborts the process
    // instead.
    assert_eq!(outcomes.len(), group.len(), "the store returns one result per submission");
    observer.committed(committed(group, took));
    Ok(outcomes)
}

/// Answers a group that was `written`, or writes it in halves.
fn settle(
    store: &dyn EventWriter,
    observer: &dyn WriterObserver,
    group: &[Submission],
    written: Result<Vec<Vec<Outcome>>, StoreError>,
    answer: &mut dyn FnMut(Answer),
) -> Result<(), StoreError> {
    match written {
        Ok(outcomes) => {
            for outcomes_of_one in outcomes {
                answer(Ok(outcomes_of_one));
            }
            Ok(())
        }
        // Halves would fail too, and the whole queue is refused instead.
        Err(error) if error.is_unavailable() => Err(error),
        Err(error) => {
            observer.failed(group.len(), &error);
            if group.len() <= 1 {
                observer.refused(group.len());
                for _ in group {
                    answer(Err(SubmitError::Failed));
                }
                return Ok(());
            }
            observer.split();
            // In order: `answer` is called once per submission, and the caller matches by position.
            let (first, second) = group.split_at(group.len() / 2);
            settle(store, observer, first, write(store, observer, first), answer)?;
            settle(store, observer, second, write(store, observer, second), answer)
        }
    }
}

fn committed(group: &[Submission], took: Duration) -> CommittedGroup {
    CommittedGroup {
        submissions: group.len(),
        events: group.iter().map(|submission| submission.events.len()).sum(),
        bytes: group.iter().map(Submission::size_bytes).sum(),
        took,
    }
}

//! A group that fails is halved until only the submissions fail that are to blame.
//!
//! Each part is a transaction of its own, so that the innocent are stored. `n` guilty ones of a group of `m` cost at most
//! about `2 n log2 m` further transactions.

use std::time::Duration;

use mercurio_domain::store::{EventWriter, StoreError, Submission};
use mercurio_domain::verdict::Outcome;

use super::worker::timed;
use super::{Committed, SubmitError, WriterObserver};

/// Writes a group and calls `answer` once for each submission, in order.
///
/// # Errors
/// The store became unavailable: the submissions that have had no answer yet get none here.
pub(super) fn append(
    store: &dyn EventWriter,
    observer: &dyn WriterObserver,
    group: &[Submission],
    answer: &mut dyn FnMut(Result<Vec<Outcome>, SubmitError>),
) -> Result<(), StoreError> {
    let (result, took) = timed(|| store.append(group));
    match result {
        Ok(outcomes) => {
            assert_eq!(outcomes.len(), group.len(), "the store answers for every submission");
            observer.committed(committed(group, took));
            for of_submission in outcomes {
                answer(Ok(of_submission));
            }
            Ok(())
        }
        Err(error) if error.is_unavailable() => Err(error),
        Err(error) => {
            observer.failed(group.len(), &error);
            if group.len() <= 1 {
                observer.refused(group.len());
                group.iter().for_each(|_| answer(Err(SubmitError::Failed)));
                return Ok(());
            }
            observer.split();
            let (first, second) = group.split_at(group.len() / 2);
            append(store, observer, first, answer)?;
            append(store, observer, second, answer)
        }
    }
}

fn committed(group: &[Submission], took: Duration) -> Committed {
    Committed {
        submissions: group.len(),
        events: group.iter().map(|submission| submission.events.len()).sum(),
        bytes: group.iter().map(Submission::size_bytes).sum(),
        took,
    }
}

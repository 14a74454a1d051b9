//! Two ways to store the events of a group, and one to choose between them.
//!
//! Both write a narrow row into `event_keys`, whose primary key decides, and copy the wide rows of the new events into
//! `events`, in one transaction:
//! - [`Way::Claim`] inserts the keys `ON CONFLICT DO NOTHING` and hears which were free. Right whatever is in the table.
//! - [`Way::Copy`] copies the keys too, which costs about half, and fails as a whole where one is taken. Those that are
//!   suspected of being taken are claimed first, so that a known duplicate costs its group nothing. Few keys are inserted
//!   in place of copied, which saves a round trip, and their counts with them, which saves another.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};

use super::super::counts;
use super::{claim, copy};
use crate::counts::of_stored;
use crate::error::{Failure, Fault};
use crate::verdicts::{self, Candidate, Candidates};

/// Keys up to which an insert takes no more CPU time than a copy and a statement for the counts.
const FEW: usize = 64;

/// How a group is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::postgres) enum Way<'s> {
    /// All keys are claimed.
    Claim,
    /// Only those keys are claimed whose place in `suspects` says so; the others are copied.
    Copy {
        /// For each candidate whether its key is likely to be taken.
        suspects: &'s [bool],
    },
}

/// Stores the candidates whose keys are free, logs their counts, and returns them. Their partitions must exist. Every event
/// that this store ever stores passes here, so that counts and events agree.
///
/// # Errors
/// [`Fault::KeyTaken`] if a key was copied that is taken: the transaction has failed.
pub(in crate::postgres) fn append<'a>(
    connection: &mut PgConnection,
    candidates: &Candidates<'a>,
    way: Way<'_>,
) -> Result<Vec<Candidate<'a>>, Failure> {
    let (suspects, others) = match way {
        Way::Claim => (candidates.rows().to_vec(), Vec::new()),
        Way::Copy { suspects } => candidates.split(suspects),
    };
    let mut fresh = others;
    // The claim goes first: a suspect is nearly always a committed row, for which no lock is taken. So the locks are those of
    // the copy, taken in the order of the keys, and two writers cannot deadlock.
    let claimed = if suspects.is_empty() {
        Vec::new()
    } else {
        claim::Claim::of(&suspects).get_results(connection)?
    };
    let is_few = suspects.is_empty() && fresh.len() <= FEW;
    if is_few {
        counts::insert_keys_and_log(connection, &fresh).map_err(taken)?;
    } else if !fresh.is_empty() {
        copy::keys(connection, &fresh).map_err(taken)?;
    }
    fresh.extend(verdicts::fresh(suspects, claimed));
    if !fresh.is_empty() {
        // In the order of the index on time, so that each of its pages is found once and not for every row.
        fresh.sort_by_cached_key(|row| {
            (row.owner.tenant_id, row.owner.workspace_id, row.event.parts().occurred_at)
        });
        copy::events(connection, &fresh)?;
        if !is_few {
            counts::log(connection, of_stored(&fresh))?;
        }
    }
    Ok(fresh)
}

fn taken(error: Error) -> Failure {
    match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, information) => {
            Failure::Sorted(Fault::KeyTaken, information.message().to_owned())
        }
        other => other.into(),
    }
}

//! The two ways to store the events of a group.
//!
//! Both write a narrow row into `event_keys`, whose primary key decides, and copy the wide rows of
//! the new events into `events`, in one transaction:
//! - [`AppendMode::Claim`] inserts the keys with `ON CONFLICT DO NOTHING` and learns which were
//!   new. It always works.
//! - [`AppendMode::Copy`] copies the keys too, which costs about half, and fails as a whole on a
//!   duplicate. Likely duplicates are claimed first, so that they don't cause a fallback. A few
//!   keys are inserted together with their counts instead, which saves two round trips.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::super::{counts, feed};
use super::{claim, copy};
use crate::counts::of_stored;
use crate::error::{Error, ErrorKind};
use crate::verdicts::{self, Appended, Candidates, ClaimedCandidates, SplitCandidates};

/// Keys up to which an insert takes no more CPU time than a copy and a statement for the counts.
const FEW: usize = 64;

/// How a group is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::postgres) enum AppendMode<'a> {
    /// All keys are claimed.
    Claim,
    /// Likely stored keys are claimed, the others copied.
    Copy {
        /// For each candidate, in order, whether its key is likely stored.
        likely_stored: &'a [bool],
    },
}

/// Stores and counts the candidates with new keys. Their partitions must exist. All events pass
/// here, so that counts and events agree.
///
/// Fails with [`ErrorKind::KeyTaken`] if a copied key exists.
pub(in crate::postgres) fn append<'a>(
    connection: &mut PgConnection,
    candidates: &Candidates<'a>,
    mode: AppendMode<'_>,
) -> Result<Appended<'a>, Error> {
    let SplitCandidates { likely_stored: to_claim, likely_new: to_copy } = match mode {
        AppendMode::Copy { likely_stored } => candidates.split(likely_stored),
        AppendMode::Claim => {
            SplitCandidates { likely_stored: candidates.rows().to_vec(), likely_new: Vec::new() }
        }
    };
    // The claim comes first. A likely duplicate is nearly always a committed row, which a claim
    // does not lock. So all locks are taken by the copy, in the order of keys, and writers cannot
    // deadlock.
    let is_few = to_claim.is_empty() && to_copy.len() <= FEW;
    let mut claimed = Vec::new();
    // One duplicate fails the whole statement and its transaction. The next attempt claims.
    if is_few {
        counts::insert_keys_and_log(connection, &to_copy).map_err(key_taken)?;
    } else {
        let position = feed::next_position(connection)?;
        if !to_claim.is_empty() {
            claimed = claim::claim(connection, &to_claim, position)?;
        }
        if !to_copy.is_empty() {
            copy::keys(connection, &to_copy, position).map_err(key_taken)?;
        }
    }
    let ClaimedCandidates { fresh: claimed, duplicates } =
        verdicts::split_claimed(to_claim, claimed);
    let mut fresh = to_copy;
    fresh.extend(claimed);
    let stored = if duplicates.is_empty() {
        Vec::new()
    } else {
        // After the claim, whose snapshot lacks the keys it waited for.
        claim::stored_keys(connection, &duplicates)?
    };
    if !fresh.is_empty() {
        // In the order of the index on time, so that each of its pages is found once for many rows.
        fresh.sort_by_cached_key(|row| {
            (row.owner.tenant_id, row.owner.workspace_id, row.event.parts().occurred_at)
        });
        // Without ON CONFLICT: the keys above have decided, so no row of `events` can be taken.
        copy::events(connection, &fresh)?;
        if !is_few {
            counts::log(connection, of_stored(&fresh))?;
        }
    }
    Ok(Appended { fresh, stored })
}

fn key_taken(error: DieselError) -> Error {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, information) => {
            Error::new(ErrorKind::KeyTaken, information.message())
        }
        other => other.into(),
    }
}

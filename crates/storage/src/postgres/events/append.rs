//! Two ways to store the events of a group, and one to choose between them.
//!
//! Both write a narrow row into `event_keys`, whose primary key decides, and copy the wide rows of the new events into
//! `events`, in one transaction:
//! - [`Way::Claim`] inserts the keys `ON CONFLICT DO NOTHING` and hears which were free. Right whatever is in the table.
//! - [`Way::Copy`] copies the keys too, which costs about half, and fails as a whole where one is taken. Those that are
//!   suspected of being taken are claimed first, so that a known duplicate costs its group nothing.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::super::quota::{Draw, GroupKey};
use super::{claim, copy};
use crate::error::{Error, ErrorKind};
use crate::verdicts::{self, Candidate, Candidates};

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

/// Stores the candidates whose keys are free, and returns them. Their partitions must be there.
///
/// Where all of them are copied, `draw` counts them in the same statement.
///
/// # Errors
/// [`ErrorKind::KeyTaken`] where a key was copied that is taken, and [`ErrorKind::QuotaMoved`] where it was the group's own: nothing of the group
/// is stored then.
pub(in crate::postgres) fn append<'a>(
    connection: &mut PgConnection,
    candidates: &Candidates<'a>,
    way: Way<'_>,
    draw: &mut Draw<'_>,
) -> Result<Vec<Candidate<'a>>, Error> {
    let (suspects, others) = match way {
        Way::Claim => (candidates.rows().to_vec(), Vec::new()),
        Way::Copy { suspects } => candidates.split(suspects),
    };
    let mut fresh = others;
    let (group, claimed) = if suspects.is_empty() {
        // The group's own key goes before all others. Behind a claim it would not, and so what is stored is counted last then.
        (draw.count_first(&fresh)?, Vec::new())
    } else {
        // The claim goes first: a suspect is nearly always a row that stands there for good, for which no lock is taken. So the
        // locks are those of the copy, taken in the order of the keys, and two writers don't wait for each other in a circle.
        (Vec::new(), claim::Claim::of(&suspects).get_results(connection)?)
    };
    if !fresh.is_empty() {
        copy::keys(connection, &group, &fresh).map_err(|error| taken(error, &group, draw))?;
    }
    fresh.extend(verdicts::fresh(suspects, claimed));
    if !fresh.is_empty() {
        // In the order of the index on time, so that each of its pages is found once and not for every row.
        fresh.sort_by_cached_key(|row| {
            (row.owner.tenant_id, row.owner.workspace_id, row.event.parts().occurred_at)
        });
        copy::events(connection, &fresh)?;
    }
    Ok(fresh)
}

fn taken(error: DieselError, group: &[GroupKey], draw: &mut Draw<'_>) -> Error {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, information) => {
            // The message names the key, in every language.
            let is_group = |row: &GroupKey| {
                information.details().is_some_and(|text| text.contains(&row.key.to_string()))
            };
            if group.iter().any(is_group) {
                return draw.called();
            }
            Error::new(ErrorKind::KeyTaken, information.message())
        }
        other => other.into(),
    }
}

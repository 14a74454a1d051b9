//! A group of submissions on its way into the database, over all tries of its transaction.

use std::sync::atomic::Ordering;

use diesel::prelude::*;
use mercurio_domain::store::Submission;

use super::events::{self, Way};
use super::{PostgresStore, quota};
use crate::error::{Error, ErrorKind};
use crate::transaction::TransactionBody;
use crate::verdicts::{Candidate, Candidates};

/// What is to be written, and what came of the tries so far.
pub(super) struct Writing<'a> {
    store: &'a PostgresStore,
    group: &'a [Submission],
    /// Every event of the group, each key once.
    whole: &'a Candidates<'a>,
    /// For each candidate whether its key is likely to be taken.
    suspects: Vec<bool>,
    draw: quota::Draw<'a>,
    /// Whether keys are copied. Whatever stood in the way of the first try that wrote, the others meet the keys as they are.
    copies: bool,
    is_first: bool,
}

impl<'a> Writing<'a> {
    pub(super) fn of(
        store: &'a PostgresStore,
        group: &'a [Submission],
        whole: &'a Candidates<'a>,
    ) -> Self {
        let suspects = store.recent.contains_each(whole.rows().iter().map(Candidate::key));
        let suspected = suspects.iter().filter(|suspected| **suspected).count();
        store.counters.likely_duplicates.fetch_add(suspected as u64, Ordering::Relaxed);
        let draw = quota::Draw::of(group, &store.quotas);
        Self { store, group, whole, suspects, draw, copies: true, is_first: true }
    }

    /// It was stored, and committed.
    pub(super) fn stored(self) {
        self.draw.stored();
    }

    /// For each of the candidates, who are among the whole group's, what is suspected of it there. It must not be asked anew: a row
    /// that is certain stays so.
    fn suspects_of(&self, candidates: &Candidates<'_>) -> Vec<bool> {
        let suspect = |row: &Candidate<'_>| {
            let place = self.whole.rows().binary_search_by_key(&row.key(), Candidate::key);
            place.is_ok_and(|place| self.suspects[place])
        };
        candidates.rows().iter().map(suspect).collect()
    }

    fn count_fallback(&self) {
        self.store.counters.fallbacks.fetch_add(1, Ordering::Relaxed);
    }
}

/// The rows that will be stored if a try that copies them does not fail: all that are not suspected, or their keys would be taken.
fn certain<'a>(
    whole: &Candidates<'a>,
    suspects: &[bool],
    copies: bool,
) -> impl Iterator<Item = Candidate<'a>> {
    let rows =
        whole.rows().iter().zip(suspects).filter(move |(_, suspected)| copies && !**suspected);
    rows.map(|(row, _)| *row)
}

impl<'a> TransactionBody<PgConnection> for Writing<'a> {
    /// The candidates that fit into their quotas, where not all do, and those that were stored.
    type Output = (Option<Candidates<'a>>, Vec<Candidate<'a>>);

    fn begin(&mut self, connection: &mut PgConnection, number: u64) -> Result<(), Error> {
        let certain = certain(self.whole, &self.suspects, self.copies);
        let begun = self.draw.begin(connection, number, certain);
        if let Err(Error { kind: ErrorKind::QuotaMoved, .. }) = begun {
            self.count_fallback();
        }
        begun
    }

    fn execute(&mut self, connection: &mut PgConnection) -> Result<Self::Output, Error> {
        if !std::mem::take(&mut self.is_first) {
            self.count_fallback();
        }
        let refused = self.draw.admit(connection)?;
        let admitted =
            if refused.is_empty() { None } else { Some(Candidates::of(self.group, &refused)) };
        let candidates = admitted.as_ref().unwrap_or(self.whole);
        let fewer_suspects = admitted.as_ref().map(|admitted| self.suspects_of(admitted));
        let copies = std::mem::take(&mut self.copies);
        let way = if copies {
            Way::Copy { suspects: fewer_suspects.as_ref().unwrap_or(&self.suspects) }
        } else {
            Way::Claim
        };
        let appended = events::append(connection, candidates, way, &mut self.draw);
        if let Err(Error { kind: ErrorKind::QuotaMoved, .. }) = appended {
            // It was found out before any key of an event.
            self.copies = copies;
        }
        let fresh = appended?;
        self.draw.count_rest(connection, &fresh)?;
        Ok((admitted, fresh))
    }
}

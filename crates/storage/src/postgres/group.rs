//! A group of submissions on its way into the database, over all attempts of its transaction.

use std::sync::atomic::Ordering;

use diesel::prelude::*;

use super::PostgresStore;
use super::events::{self, Way};
use crate::error::Failure;
use crate::verdicts::{Candidate, Candidates};

/// What is to be written, and what the next attempt does differently.
pub(super) struct Writing<'a> {
    store: &'a PostgresStore,
    candidates: &'a Candidates<'a>,
    /// For each candidate whether its key is likely to be taken.
    suspects: Vec<bool>,
    /// Only the first attempt copies keys. Whatever it failed on, the others claim them, which always works.
    is_first: bool,
}

impl<'a> Writing<'a> {
    pub(super) fn of(store: &'a PostgresStore, candidates: &'a Candidates<'a>) -> Self {
        let suspects = store.recent.seen(candidates.rows().iter().map(Candidate::key));
        let suspected = suspects.iter().filter(|suspected| **suspected).count();
        store.counts.suspects.fetch_add(suspected as u64, Ordering::Relaxed);
        Self { store, candidates, suspects, is_first: true }
    }

    /// Stores the candidates whose keys are free, in an open transaction, and returns them.
    pub(super) fn store(
        &mut self,
        connection: &mut PgConnection,
    ) -> Result<Vec<Candidate<'a>>, Failure> {
        let way = if std::mem::take(&mut self.is_first) {
            Way::Copy { suspects: &self.suspects }
        } else {
            self.store.counts.fallbacks.fetch_add(1, Ordering::Relaxed);
            Way::Claim
        };
        events::append(connection, self.candidates, way)
    }
}

//! The comparison of a history with rows, wherever they come from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mercurio_domain::limits::Month;
use mercurio_domain::{Owner, TenantId, Timestamp, WorkspaceId};

use crate::history::{Answer, Attempt, EventRef, History};
use crate::payload::Digest;
use crate::report::{Report, Violation};
use crate::stored::{CountKey, StoredCount, StoredRow, StoredUsage};

/// The events of a workspace and an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct OwnerHour {
    owner: Owner,
    hour: Timestamp,
}

/// Compares rows with a history, one at a time: neither has to fit into memory twice.
#[derive(Debug)]
pub struct Comparison<'a> {
    history: &'a History,
    /// Rows found of each event.
    rows_of: HashMap<&'a EventRef, usize>,
    rows: u64,
    /// Rows by workspace and hour, then by name.
    by_hour: HashMap<OwnerHour, HashMap<String, u64>>,
    counted: BTreeMap<CountKey, u64>,
    used: BTreeMap<(TenantId, Month), u64>,
    violations: Vec<Violation>,
}

impl<'a> Comparison<'a> {
    /// Starts without rows.
    #[must_use]
    pub fn new(history: &'a History) -> Self {
        Self {
            history,
            rows_of: HashMap::new(),
            rows: 0,
            by_hour: HashMap::new(),
            counted: BTreeMap::new(),
            used: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Adds a row of the events table.
    pub fn row(&mut self, row: StoredRow<'_>) {
        let StoredRow { owner, event_id, received_at, payload } = row;
        self.rows += 1;
        let hour = OwnerHour { owner, hour: received_at.start_of_hour() };
        let names = self.by_hour.entry(hour).or_default();
        // Few names and many rows: most find their entry, without a copy of the name.
        match names.get_mut(payload.event_name) {
            Some(rows) => *rows += 1,
            None => drop(names.insert(payload.event_name.to_owned(), 1)),
        }
        let event = EventRef { tenant_id: owner.tenant_id, event_id };
        let Some((event, attempts)) = self.history.entry(&event) else {
            let workspace_id = owner.workspace_id;
            self.violations.push(Violation::Unsent { event, workspace_id });
            return;
        };
        *self.rows_of.entry(event).or_default() += 1;
        let (workspace_id, digest) = (owner.workspace_id, Digest::of(&payload));
        if !may_have_stored(attempts, workspace_id, digest) {
            let (event, attempts) = (event.clone(), attempts.to_vec());
            self.violations.push(Violation::Altered { event, workspace_id, digest, attempts });
        }
    }

    /// Adds a key whose event is missing.
    pub fn key_without_event(&mut self, tenant_id: TenantId, key: String) {
        self.violations.push(Violation::KeyWithoutEvent { tenant_id, key });
    }

    /// Adds an event whose key is missing or points elsewhere.
    pub fn event_without_key(&mut self, event: EventRef) {
        self.violations.push(Violation::EventWithoutKey { event });
    }

    /// Adds a count.
    pub fn count(&mut self, StoredCount { key, accepted }: StoredCount) {
        *self.counted.entry(key).or_default() += accepted;
    }

    /// Adds the usage of a month.
    pub fn usage(&mut self, StoredUsage { tenant_id, month, used }: StoredUsage) {
        *self.used.entry((tenant_id, month)).or_default() += used;
    }

    /// Compares everything added.
    #[must_use]
    pub fn finish(mut self) -> Report {
        for (event, attempts) in self.history.events() {
            let rows = self.rows_of.get(event).copied().unwrap_or_default();
            self.violations.extend(violations_of(event, attempts, rows));
        }
        self.compare_counts();
        Report { figures: self.history.figures(), rows: self.rows, violations: self.violations }
    }

    fn compare_counts(&mut self) {
        let mut rows_by_count = BTreeMap::new();
        let mut rows_by_month = BTreeMap::<_, u64>::new();
        for (OwnerHour { owner, hour }, names) in std::mem::take(&mut self.by_hour) {
            for (event_name, rows) in names {
                *rows_by_month.entry((owner.tenant_id, Month::of(hour))).or_default() += rows;
                rows_by_count.insert(CountKey { owner, event_name, hour }, rows);
            }
        }
        let keys: BTreeSet<_> = rows_by_count.keys().chain(self.counted.keys()).collect();
        for key in keys {
            let (rows, counted) = (of(&rows_by_count, key), of(&self.counted, key));
            if rows != counted {
                let count = key.clone();
                self.violations.push(Violation::Miscounted { count, rows, counted });
            }
        }
        let months: BTreeSet<_> = rows_by_month.keys().chain(self.used.keys()).collect();
        for key in months {
            let (rows, used) = (of(&rows_by_month, key), of(&self.used, key));
            if rows != used {
                let (tenant_id, month) = *key;
                self.violations.push(Violation::MiscountedUsage { tenant_id, month, rows, used });
            }
        }
    }
}

fn of<K: Ord>(map: &BTreeMap<K, u64>, key: &K) -> u64 {
    map.get(key).copied().unwrap_or_default()
}

/// Whether one of the attempts can have stored this content in this workspace.
fn may_have_stored(attempts: &[Attempt], workspace_id: WorkspaceId, digest: Digest) -> bool {
    let is_same =
        |attempt: &&Attempt| attempt.workspace_id == workspace_id && attempt.digest == digest;
    let of = |answer| attempts.iter().filter(move |attempt| attempt.answer == answer);
    // An accepted request is the one that stored it. Otherwise it is a request without an answer.
    for answer in [Answer::Accepted, Answer::Unknown, Answer::Duplicate] {
        if of(answer).next().is_some() {
            return of(answer).any(|attempt| is_same(&attempt));
        }
    }
    // All are rejected, which is a violation of its own.
    true
}

/// Compares the answers for an event with its number of rows, and with each other.
fn violations_of(event: &EventRef, attempts: &[Attempt], rows: usize) -> Vec<Violation> {
    let of = |answer| attempts.iter().filter(move |attempt| attempt.answer == answer);
    let (accepted, unknown) = (of(Answer::Accepted).count(), of(Answer::Unknown).count());
    let duplicates = of(Answer::Duplicate).count();
    let parts = || (event.clone(), attempts.to_vec());
    let mut violations = Vec::new();
    if rows == 0 && accepted + duplicates > 0 {
        let (event, attempts) = parts();
        violations.push(Violation::Lost { event, attempts });
    }
    if rows > 1 {
        violations.push(Violation::StoredTwice { event: event.clone(), rows });
    }
    if accepted > 1 {
        let (event, attempts) = parts();
        violations.push(Violation::AcceptedTwice { event, attempts });
    }
    let first_duplicate = of(Answer::Duplicate).map(|attempt| attempt.answered).min();
    let last_accepted = of(Answer::Accepted).map(|attempt| attempt.sent).max();
    if first_duplicate.zip(last_accepted).is_some_and(|(duplicate, accepted)| duplicate < accepted)
    {
        let (event, attempts) = parts();
        violations.push(Violation::Forgotten { event, attempts });
    }
    if duplicates > 0 && accepted + unknown == 0 {
        let (event, attempts) = parts();
        violations.push(Violation::NeverAccepted { event, attempts });
    }
    if rows > 0 && accepted + duplicates + unknown == 0 {
        let (event, attempts) = parts();
        violations.push(Violation::StoredThoughRejected { event, attempts });
    }
    violations
}

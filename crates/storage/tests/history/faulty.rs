//! Stores with one fault each, around a real store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mercurio_domain::store::{EventWriter, Store, StoreError, Submission};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{Owner, WorkspaceId};
use mercurio_storage::testing::TestDatabase;

use crate::client::event;

/// What a faulty store does wrong.
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Answers `duplicate` for all events.
    AcceptsNothing,
    /// Stores a group and refuses it.
    StoresRefused,
    /// Answers first, and commits a group when the next one comes. A crash loses the last.
    AnswersBeforeCommit,
    /// Answers `accepted` without a look at the outcome.
    LooksForNoDuplicates,
    /// Stores each event with the content of its neighbor.
    SwapsPayloads,
    /// Stores the events of all workspaces in the first.
    MixesWorkspaces,
    /// Forgets every second group.
    LosesGroups,
    /// Runs these statements before each group.
    RunsBefore(&'static str),
    /// Runs these statements after each group.
    RunsAfter(&'static str),
}

/// A store with a fault.
pub(crate) struct FaultyStore<'a> {
    pub(crate) database: &'a TestDatabase,
    store: Arc<dyn Store>,
    fault: Fault,
    groups: AtomicUsize,
    uncommitted: Mutex<Vec<Submission>>,
}

impl<'a> FaultyStore<'a> {
    pub(crate) fn new(database: &'a TestDatabase, fault: Fault) -> Self {
        let store = database.store();
        Self { database, store, fault, groups: AtomicUsize::new(0), uncommitted: Mutex::default() }
    }
}

fn answer_all(group: &[Submission], outcome: Outcome) -> Vec<Vec<Outcome>> {
    group.iter().map(|submission| vec![outcome; submission.events.len()]).collect()
}

fn swapped(submission: &Submission) -> Submission {
    let mut swapped = submission.clone();
    swapped.events.clear();
    for (index, own) in submission.events.iter().enumerate() {
        let neighbor = &submission.events[(index + 1) % submission.events.len()];
        let user_id = neighbor.parts().user_id.as_deref().unwrap();
        swapped.events.push(event(own.parts().event_id.as_str(), user_id));
    }
    swapped
}

fn in_first_workspace(submission: &Submission) -> Submission {
    let owner = Owner { workspace_id: WorkspaceId(1), ..submission.owner };
    Submission { owner, ..submission.clone() }
}

impl EventWriter for FaultyStore<'_> {
    fn append(&self, group: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        let number = self.groups.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::AnswersBeforeCommit => {
                let late =
                    std::mem::replace(&mut *self.uncommitted.lock().unwrap(), group.to_vec());
                self.store.append(&late)?;
                Ok(answer_all(group, Outcome::Accepted))
            }
            Fault::LooksForNoDuplicates => {
                self.store.append(group)?;
                Ok(answer_all(group, Outcome::Accepted))
            }
            Fault::AcceptsNothing => {
                self.store.append(group)?;
                Ok(answer_all(group, Outcome::Duplicate))
            }
            Fault::StoresRefused => {
                self.store.append(group)?;
                Err(StoreError::Refused("the test refuses it".into()))
            }
            Fault::SwapsPayloads => {
                self.store.append(&group.iter().map(swapped).collect::<Vec<_>>())
            }
            Fault::MixesWorkspaces => {
                self.store.append(&group.iter().map(in_first_workspace).collect::<Vec<_>>())
            }
            Fault::LosesGroups if number % 2 == 1 => Ok(answer_all(group, Outcome::Accepted)),
            Fault::LosesGroups | Fault::None => self.store.append(group),
            Fault::RunsBefore(sql) => {
                self.database.execute(sql);
                self.store.append(group)
            }
            Fault::RunsAfter(sql) => {
                let outcomes = self.store.append(group);
                self.database.execute(sql);
                outcomes
            }
        }
    }

    fn ping(&self) -> Result<(), StoreError> {
        self.store.ping()
    }
}

//! A primary with a synchronous standby: no verdict is given before the standby has the event.

use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::store::{Store, StoreError};
use mercurio_domain::testing::submission;
use mercurio_domain::verdict::Outcome::{self, Accepted, Duplicate};
use mercurio_domain::{EventId, Owner};
use mercurio_storage::{DatabaseUrl, StoreOptions, open};

use super::postgres::{count, now};
use super::server::Server;
use super::{full_message, owner};

const PATIENCE: Duration = Duration::from_secs(30);

/// Sessions of the store that wait for the standby in a COMMIT.
const WAITING: &str =
    "FROM pg_stat_activity WHERE application_name = 'mercurio' AND wait_event = 'SyncRep'";

/// Part of the statements that wait after a slow COMMIT.
const CONFIRMATION: &str = "pg_logical_emit_message";

type Appended = Result<Vec<Vec<Outcome>>, StoreError>;

struct Pair {
    primary: Server,
    standby: Server,
    store: Arc<dyn Store>,
    owner: Owner,
}

impl Pair {
    /// The store's role sees the positions of standbys.
    fn start() -> Self {
        let primary = Server::start("");
        let store = open_store(&primary.url());
        Self::with(primary, store)
    }

    /// The store's role does not see them.
    fn start_unprivileged() -> Self {
        let primary = Server::start("");
        let mut connection = PgConnection::establish(&primary.url()).unwrap();
        for sql in ["CREATE ROLE plain LOGIN", "CREATE DATABASE plain OWNER plain"] {
            connection.batch_execute(sql).unwrap();
        }
        let url = primary.url().replace("postgres@", "plain@").replace("/postgres", "/plain");
        let store = open_store(&url);
        Self::with(primary, store)
    }

    fn with(primary: Server, store: Arc<dyn Store>) -> Self {
        store.migrate().unwrap();
        let owner = owner(&*store);
        let standby = Server::standby_of(&primary);
        // Afterwards, so that no commit waits for a standby that does not exist yet.
        primary.add_settings("synchronous_standby_names = '*'");
        primary.reload();
        let pair = Self { primary, standby, store, owner };
        pair.wait_until("FROM pg_stat_replication WHERE sync_state = 'sync'");
        // Creates the partitions, in transactions of their own.
        assert_eq!(pair.append("first").unwrap(), [[Accepted]]);
        pair
    }

    fn append(&self, id: &str) -> Appended {
        self.store.append(&[submission(self.owner, now(), &[id])])
    }

    /// Waits until the primary has rows of this kind.
    fn wait_until(&self, rows: &str) {
        let mut connection = PgConnection::establish(&self.primary.url()).unwrap();
        let begun = Instant::now();
        while count(&mut connection, rows) == 0 {
            assert!(begun.elapsed() < PATIENCE, "{rows}");
        }
    }

    /// Waits until the store waits for the standby in statements like `query`, `ms` milliseconds
    /// and longer. Fails if it answers.
    fn wait_for_commit(&self, appending: &ScopedJoinHandle<'_, Appended>, query: &str, ms: u32) {
        let mut connection = PgConnection::establish(&self.primary.url()).unwrap();
        let begun = Instant::now();
        let rows = format!(
            "{WAITING} AND query LIKE '%{query}%' AND clock_timestamp() - query_start > '{ms} ms'"
        );
        while count(&mut connection, &rows) == 0 {
            if appending.is_finished() || begun.elapsed() > PATIENCE {
                // Ends a call that would outlast the test.
                self.primary.crash();
                panic!("no {query} waits; answered: {}", appending.is_finished());
            }
        }
    }

    fn signal_waiting(&self, function: &str) {
        let mut connection = PgConnection::establish(&self.primary.url()).unwrap();
        connection.batch_execute(&format!("SELECT {function}(pid) {WAITING}")).unwrap();
    }
}

fn open_store(url: &str) -> Arc<dyn Store> {
    let url = DatabaseUrl::parse(url).unwrap();
    // Longer than the server takes to start.
    let options =
        StoreOptions { connect_timeout: Duration::from_secs(10), ..StoreOptions::default() };
    open(&url, &options).unwrap()
}

#[track_caller]
fn assert_unavailable(appended: Appended) {
    let error = appended.unwrap_err();
    assert!(error.is_unavailable(), "{}", full_message(&error));
}

#[test]
fn duplicate_waits_until_the_standby_has_the_event() {
    let pair = Pair::start();
    assert_eq!(pair.append("a").unwrap(), [[Accepted]]);
    assert_eq!(pair.append("a").unwrap(), [[Duplicate]]);
    pair.standby.crash();
    for _ in 0..2 {
        std::thread::scope(|scope| {
            let appending = scope.spawn(|| pair.append("b"));
            // First as a new event, then as one that only the primary has.
            pair.wait_for_commit(&appending, "COMMIT", 0);
            pair.primary.crash();
            assert_unavailable(appending.join().unwrap());
        });
        pair.primary.resume();
        assert!(pair.store.event(pair.owner, &EventId::lookup("b")).unwrap().is_some());
    }
    // The primary is lost, and b with it. No client was told that it is stored.
    pair.primary.crash();
    pair.standby.resume();
    pair.standby.promote();
    let store = open_store(&pair.standby.url());
    let group = [submission(pair.owner, now(), &["a", "b"])];
    assert_eq!(store.append(&group).unwrap(), [[Duplicate, Accepted]]);
}

#[test]
fn cancelled_wait_for_the_standby_is_no_success() {
    let pair = Pair::start();
    pair.standby.crash();
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| pair.append("a"));
        pair.wait_for_commit(&appending, "COMMIT", 50);
        // COMMIT then succeeds with a warning, and only the primary has the event.
        pair.signal_waiting("pg_cancel_backend");
        // Again and again: no other wait may end like that.
        while !appending.is_finished() {
            pair.signal_waiting("pg_cancel_backend");
        }
        assert_unavailable(appending.join().unwrap());
    });
    pair.standby.resume();
    let group = [submission(pair.owner, now(), &["a", "b"])];
    assert_eq!(pair.store.append(&group).unwrap(), [[Duplicate, Accepted]]);
}

#[test]
fn long_wait_for_the_standby_ends_in_success() {
    let pair = Pair::start();
    pair.standby.crash();
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| pair.append("a"));
        pair.wait_for_commit(&appending, "COMMIT", 50);
        pair.standby.resume();
        assert_eq!(appending.join().unwrap().unwrap(), [[Accepted]]);
    });
}

#[test]
fn cancelled_wait_of_a_role_without_privileges_is_no_success() {
    let pair = Pair::start_unprivileged();
    pair.standby.crash();
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| pair.append("a"));
        pair.wait_for_commit(&appending, "COMMIT", 50);
        // COMMIT then succeeds with a warning, and only the primary has the event.
        pair.signal_waiting("pg_cancel_backend");
        // A confirmation may be cancelled too.
        pair.wait_for_commit(&appending, CONFIRMATION, 1_100);
        pair.signal_waiting("pg_cancel_backend");
        pair.wait_for_commit(&appending, CONFIRMATION, 0);
        pair.signal_waiting("pg_terminate_backend");
        assert_unavailable(appending.join().unwrap());

        let appending = scope.spawn(|| pair.append("b"));
        pair.wait_for_commit(&appending, "COMMIT", 50);
        pair.signal_waiting("pg_cancel_backend");
        pair.wait_for_commit(&appending, CONFIRMATION, 0);
        pair.standby.resume();
        assert_eq!(appending.join().unwrap().unwrap(), [[Accepted]]);
    });
    let group = [submission(pair.owner, now(), &["a", "b"])];
    assert_eq!(pair.store.append(&group).unwrap(), [[Duplicate, Duplicate]]);
}

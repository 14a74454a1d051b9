//! Migrations that need a lock on a table in use, in PostgreSQL.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use mercurio_domain::store::{LockWait, SchemaState};
use mercurio_domain::testing::submission;
use mercurio_domain::verdict::Outcome::Accepted;
use mercurio_storage::testing::TestDatabase;
use mercurio_storage::{DatabaseUrl, StoreOptions, open};

use super::postgres::{now, other_connection};
use super::{full_message, owner};

/// Reverts all migrations after the one with this name.
fn leave_migrations_until(database: &TestDatabase, name: &str) {
    let empty = TestDatabase::empty_sqlite();
    let SchemaState::Older(all) = empty.store().schema_state().unwrap() else { unreachable!() };
    for _ in all.iter().rev().take_while(|migration| !migration.ends_with(name)) {
        database.store().revert().unwrap();
    }
}

#[test]
fn migration_yields_to_writers_during_a_long_transaction() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    leave_migrations_until(&database, "_feed");
    let mut reader = other_connection(&database);
    // Its ACCESS SHARE lock conflicts with the ALTER TABLE that reverts the migration.
    reader.batch_execute("BEGIN; SELECT count(*) FROM event_keys").unwrap();
    let (reports, received) = mpsc::channel();
    let reverting = database.another_store();
    let reverting = std::thread::spawn(move || {
        reverting.revert_reporting(&mut |wait| reports.send(wait.clone()).unwrap())
    });
    // The migration has timed out and the reader still reads: writers proceed.
    for attempts in 1..=2 {
        let wait: LockWait = received.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(wait.attempts, attempts);
        assert!(wait.open.iter().any(|open| open.age >= Duration::from_secs(2)), "{wait:?}");
        let begun = Instant::now();
        assert_eq!(
            store.append(&[submission(owner, now(), &[&attempts.to_string()])]).unwrap(),
            [[Accepted]]
        );
        // A writer waits at most one attempt of 2 seconds; the rest is for a slow machine.
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
    reader.batch_execute("COMMIT").unwrap();
    let reverted = reverting.join().unwrap().unwrap();
    assert!(reverted.is_some_and(|name| name.ends_with("_feed")));
    assert!(store.migrate().unwrap()[0].ends_with("_feed"));
}

#[test]
fn migration_that_gets_no_lock_gives_up_unchanged() {
    let database = TestDatabase::postgres();
    // Reverted, it drops the table of events.
    leave_migrations_until(&database, "_initial");
    let before = database.store().schema_state().unwrap();
    let mut reader = other_connection(&database);
    reader.batch_execute("BEGIN; SELECT count(*) FROM events").unwrap();
    let url = DatabaseUrl::parse(&database.url_text()).unwrap();
    let store = open(
        &url,
        // Two attempts of 2 seconds and the pause between them.
        &StoreOptions { migration_lock_timeout: Duration::from_secs(4), ..StoreOptions::default() },
    )
    .unwrap();
    let mut waits = 0;
    let error = store.revert_reporting(&mut |_| waits += 1).unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(
        full_message(&error).contains("lock timeout")
            && full_message(&error).contains("gave up after"),
        "{}",
        full_message(&error)
    );
    assert!(waits >= 1);
    assert_eq!(store.schema_state().unwrap(), before);
    reader.batch_execute("COMMIT").unwrap();
    // The migration lock is free again.
    assert!(database.store().revert().unwrap().is_some_and(|name| name.ends_with("_initial")));
}

//! PostgreSQL: a migration that needs a lock on a table which a long transaction reads, while others write to it.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use mercurio_domain::store::LockWait;
use mercurio_domain::testing::submission;
use mercurio_domain::verdict::Outcome::Accepted;
use mercurio_storage::testing::TestDatabase;
use mercurio_storage::{DatabaseUrl, StoreOptions, open};

use super::postgres::{beside, now};
use super::{owner, told};

#[test]
fn a_migration_gives_way_to_writers_while_a_long_transaction_reads_and_is_done_after_it() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let mut reader = beside(&database);
    reader.batch_execute("BEGIN; SELECT count(*) FROM events").unwrap();
    let (told, hears) = mpsc::channel();
    let reverting = database.another_store();
    let reverting = std::thread::spawn(move || {
        reverting.revert_telling(&mut |wait| told.send(wait.clone()).unwrap())
    });
    // It has tried and is out of the way, and the reader still reads: whoever writes, writes.
    for tries in 1..=2 {
        let wait: LockWait = hears.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(wait.tries, tries);
        assert!(wait.open.iter().any(|(_, age)| *age >= Duration::from_secs(2)), "{wait:?}");
        let begun = Instant::now();
        assert_eq!(
            store.append(&[submission(owner, now(), &[&tries.to_string()])]).unwrap(),
            [[Accepted]]
        );
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
    reader.batch_execute("COMMIT").unwrap();
    let reverted = reverting.join().unwrap().unwrap();
    assert!(reverted.is_some_and(|name| name.ends_with("_initial")));
    assert!(store.migrate().unwrap()[0].ends_with("_initial"));
}

#[test]
fn a_migration_whose_lock_never_comes_ends_and_changes_nothing() {
    let database = TestDatabase::postgres();
    let before = database.store().schema_state().unwrap();
    let mut reader = beside(&database);
    reader.batch_execute("BEGIN; SELECT count(*) FROM events").unwrap();
    let url = DatabaseUrl::parse(&database.url_text()).unwrap();
    let store = open(
        &url,
        &StoreOptions { lock_patience: Duration::from_secs(4), ..StoreOptions::default() },
    )
    .unwrap();
    let mut waits = 0;
    let error = store.revert_telling(&mut |_| waits += 1).unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(
        told(&error).contains("lock timeout") && told(&error).contains("given up after"),
        "{}",
        told(&error)
    );
    assert!(waits >= 1);
    assert_eq!(store.schema_state().unwrap(), before);
    reader.batch_execute("COMMIT").unwrap();
    // The lock under which migrations run is free again.
    assert!(database.store().revert().unwrap().is_some_and(|name| name.ends_with("_initial")));
}

//! PostgreSQL's fast way, and everything that makes it fall back to the sure one: each time the verdicts are exact.

use diesel::connection::SimpleConnection;
use mercurio_domain::store::Store;
use mercurio_domain::testing::submission;
use mercurio_domain::verdict::Outcome::{Accepted, Duplicate};
use mercurio_storage::testing::TestDatabase;

use super::owner;
use super::postgres::{beside, claim, count, now, wait_for_waiter};

fn fallbacks(store: &dyn Store) -> u64 {
    store.append_counts().fallbacks
}

fn suspects(store: &dyn Store) -> u64 {
    store.append_counts().suspects
}

#[test]
fn fresh_keys_and_duplicates_that_the_store_remembers_need_no_fallback() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    assert_eq!(
        store.append(&[submission(owner, now(), &["a", "b", "a"])]).unwrap(),
        [[Accepted, Accepted, Duplicate]]
    );
    assert_eq!(suspects(&*store), 0);
    let again = [submission(owner, now(), &["b", "c"]), submission(owner, now(), &["a", "c"])];
    assert_eq!(store.append(&again).unwrap(), [[Duplicate, Accepted], [Duplicate, Duplicate]]);
    assert_eq!(
        store.append(&[submission(owner, now(), &["a", "b", "c"])]).unwrap(),
        [[Duplicate; 3]]
    );
    assert_eq!((suspects(&*store), fallbacks(&*store), store.append_counts().groups), (5, 0, 3));
}

#[test]
fn a_duplicate_that_only_the_database_knows_of_is_found() {
    let database = TestDatabase::postgres();
    let (first, second) = (database.store(), database.another_store());
    let owner = owner(&*first);
    first.append(&[submission(owner, now(), &["a", "b"])]).unwrap();
    // The second store is another server: it has never seen these keys.
    let group = [submission(owner, now(), &["c", "a"]), submission(owner, now(), &["d"])];
    assert_eq!(second.append(&group).unwrap(), [vec![Accepted, Duplicate], vec![Accepted]]);
    assert_eq!((fallbacks(&*second), suspects(&*second)), (1, 0));
    // It has now, also the one that it met in the database.
    assert_eq!(
        second.append(&[submission(owner, now(), &["a", "e"])]).unwrap(),
        [[Duplicate, Accepted]]
    );
    assert_eq!((fallbacks(&*second), suspects(&*second)), (1, 1));
}

#[test]
fn a_key_that_another_server_writes_at_the_same_time_is_waited_for() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let (mut other, mut watcher) = (beside(&database), beside(&database));
    for (id, end, expected, fallen_back) in
        [("a", "ROLLBACK", Accepted, 0), ("b", "COMMIT", Duplicate, 1)]
    {
        other.batch_execute("BEGIN").unwrap();
        claim(&mut other, owner, id);
        std::thread::scope(|scope| {
            let group = [submission(owner, now(), &[id, &format!("fresh {id}")])];
            let store = &store;
            let appending = scope.spawn(move || store.append(&group));
            wait_for_waiter(&mut watcher);
            other.batch_execute(end).unwrap();
            assert_eq!(appending.join().unwrap().unwrap(), [[expected, Accepted]]);
        });
        assert_eq!(fallbacks(&*store), fallen_back, "{end}");
    }
}

#[test]
fn a_key_that_is_remembered_and_gone_from_the_database_is_stored_again() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    store.append(&[submission(owner, now(), &["a", "b"])]).unwrap();
    beside(&database).batch_execute("DELETE FROM event_keys").unwrap();
    assert_eq!(
        store.append(&[submission(owner, now(), &["a", "c"])]).unwrap(),
        [[Accepted, Accepted]]
    );
    assert_eq!((suspects(&*store), fallbacks(&*store)), (1, 0));
}

#[test]
fn what_was_rolled_back_is_not_remembered() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let mut other = beside(&database);
    // The keys go in, the events don't: the whole group is undone.
    other
        .batch_execute(
            "ALTER TABLE events ADD CONSTRAINT nothing CHECK (event_name = '') NOT VALID",
        )
        .unwrap();
    store.append(&[submission(owner, now(), &["a", "b"])]).unwrap_err();
    other.batch_execute("ALTER TABLE events DROP CONSTRAINT nothing").unwrap();
    assert_eq!(
        store.append(&[submission(owner, now(), &["a", "b"])]).unwrap(),
        [[Accepted, Accepted]]
    );
    assert_eq!(suspects(&*store), 0);
}

#[test]
fn servers_that_send_the_same_events_at_once_store_each_one_once() {
    let database = TestDatabase::postgres();
    let owner = owner(&*database.store());
    let ids: Vec<String> = (0..400).map(|number| format!("event {number}")).collect();
    let writers = 4;
    let stores: Vec<_> = (0..writers).map(|_| database.another_store()).collect();
    let accepted: usize = std::thread::scope(|scope| {
        let write = |(number, store): (usize, &std::sync::Arc<dyn Store>)| {
            let (ids, store) = (&ids, std::sync::Arc::clone(store));
            scope.spawn(move || {
                let mut accepted = 0;
                // Each begins elsewhere and takes steps of its own length, so that groups overlap in part.
                for step in 0..40 {
                    let group: Vec<&str> = (0..20)
                        .map(|index| {
                            ids[(number * 100 + step * (10 + number) + index) % ids.len()].as_str()
                        })
                        .collect();
                    let outcomes = store.append(&[submission(owner, now(), &group)]).unwrap();
                    accepted += outcomes[0].iter().filter(|outcome| **outcome == Accepted).count();
                }
                accepted
            })
        };
        let threads: Vec<_> = stores.iter().enumerate().map(write).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(accepted, ids.len());
    let mut connection = beside(&database);
    for table in ["event_keys", "events"] {
        assert_eq!(count(&mut connection, &format!("FROM {table}")), ids.len() as i64, "{table}");
    }
    assert!(stores.iter().map(|store| fallbacks(&**store)).sum::<u64>() > 0);
}

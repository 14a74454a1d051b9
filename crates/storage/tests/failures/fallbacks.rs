//! Copying keys in PostgreSQL, and every cause for falling back to claiming. Outcomes are exact in
//! all.

use diesel::connection::SimpleConnection;
use mercurio_domain::store::Store;
use mercurio_domain::testing::submission;
use mercurio_domain::verdict::Outcome::{Accepted, Duplicate};
use mercurio_storage::testing::TestDatabase;

use super::owner;
use super::postgres::{claim, count, now, other_connection, wait_for_waiter};

fn fallbacks(store: &dyn Store) -> u64 {
    store.append_counts().fallbacks
}

fn likely_duplicates(store: &dyn Store) -> u64 {
    store.append_counts().likely_duplicates
}

#[test]
fn new_keys_and_cached_duplicates_need_no_fallback() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    assert_eq!(
        store.append(&[submission(owner, now(), &["a", "b", "a"])]).unwrap(),
        [[Accepted, Accepted, Duplicate]]
    );
    assert_eq!(likely_duplicates(&*store), 0);
    let again = [submission(owner, now(), &["b", "c"]), submission(owner, now(), &["a", "c"])];
    assert_eq!(store.append(&again).unwrap(), [[Duplicate, Accepted], [Duplicate, Duplicate]]);
    assert_eq!(
        store.append(&[submission(owner, now(), &["a", "b", "c"])]).unwrap(),
        [[Duplicate; 3]]
    );
    assert_eq!(
        (likely_duplicates(&*store), fallbacks(&*store), store.append_counts().groups),
        // a and b in the second group, all three in the third; three groups.
        (5, 0, 3)
    );
}

#[test]
fn duplicate_of_another_server_falls_back_to_claiming() {
    let database = TestDatabase::postgres();
    let (first, second) = (database.store(), database.another_store());
    let owner = owner(&*first);
    first.append(&[submission(owner, now(), &["a", "b"])]).unwrap();
    // The second store acts as another server, without these keys in its cache.
    let group = [submission(owner, now(), &["c", "a"]), submission(owner, now(), &["d"])];
    assert_eq!(second.append(&group).unwrap(), [vec![Accepted, Duplicate], vec![Accepted]]);
    assert_eq!((fallbacks(&*second), likely_duplicates(&*second)), (1, 0));
    // Now it has, including the one found in the database.
    assert_eq!(
        second.append(&[submission(owner, now(), &["a", "e"])]).unwrap(),
        [[Duplicate, Accepted]]
    );
    assert_eq!((fallbacks(&*second), likely_duplicates(&*second)), (1, 1));
}

#[test]
fn copied_key_waits_for_another_server_writing_it() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let (mut other, mut watcher) = (other_connection(&database), other_connection(&database));
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
fn cached_key_missing_in_the_database_is_stored_again() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    store.append(&[submission(owner, now(), &["a", "b"])]).unwrap();
    other_connection(&database).batch_execute("DELETE FROM event_keys").unwrap();
    assert_eq!(
        store.append(&[submission(owner, now(), &["a", "c"])]).unwrap(),
        [[Accepted, Accepted]]
    );
    assert_eq!((likely_duplicates(&*store), fallbacks(&*store)), (1, 0));
}

#[test]
fn keys_rolled_back_are_not_cached() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let mut other = other_connection(&database);
    // The keys are written, the events fail, and the group is rolled back.
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
    assert_eq!(likely_duplicates(&*store), 0);
}

#[test]
fn servers_sending_the_same_events_store_each_once() {
    let database = TestDatabase::postgres();
    let owner = owner(&*database.store());
    let ids: Vec<String> = (0..400).map(|number| format!("event {number}")).collect();
    let writers = 4;
    let stores: Vec<_> = (0..writers).map(|_| database.another_store()).collect();
    let accepted: usize = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, store) in stores.iter().enumerate() {
            let ids = &ids;
            threads.push(scope.spawn(move || {
                let mut accepted = 0;
                // Different starts and strides make the groups overlap in part.
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
            }));
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(accepted, ids.len());
    let mut connection = other_connection(&database);
    for table in ["event_keys", "events"] {
        assert_eq!(count(&mut connection, &format!("FROM {table}")), ids.len() as i64, "{table}");
    }
    assert!(stores.iter().map(|store| fallbacks(&**store)).sum::<u64>() > 0);
}

//! Counts in PostgreSQL after rollbacks, between concurrent transactions, and for deleted tenants.

use diesel::connection::SimpleConnection;
use mercurio_domain::Owner;
use mercurio_domain::limits::Month;
use mercurio_domain::store::{Deletion, Removal, Store};
use mercurio_domain::testing::submission;
use mercurio_domain::verdict::Outcome::{Accepted, Duplicate};
use mercurio_storage::testing::TestDatabase;

use super::owner;
use super::postgres::{claim, count, now, other_connection, wait_for_waiter};

fn usage(store: &dyn Store, owner: Owner) -> u64 {
    store.usage(&[owner.tenant_id], Month::of(now())).unwrap()[0]
}

fn delete(store: &dyn Store, deletion: Deletion) {
    store.begin_deletion(deletion, now()).unwrap();
    let mut from = None;
    loop {
        from = store.remove_events(&Removal::All(deletion), now(), from.as_ref()).unwrap().next;
        if from.is_none() {
            break;
        }
    }
    store.finish_deletion(deletion).unwrap().unwrap();
}

#[test]
fn rolled_back_group_is_not_counted() {
    let database = TestDatabase::postgres();
    let (store, mut other) = (database.store(), other_connection(&database));
    let owner = owner(&*store);
    let refuse_b = "ALTER TABLE events ADD CONSTRAINT no_b CHECK (event_id <> 'b') NOT VALID";
    other.batch_execute(refuse_b).unwrap();
    let group = ["a", "b"].map(|id| submission(owner, now(), &[id]));
    store.append(&group).unwrap_err();
    assert_eq!(usage(&*store, owner), 0);
    // Like a writer that splits a refused group.
    store.append(&group[..1]).unwrap();
    store.append(&group[1..]).unwrap_err();
    assert_eq!(usage(&*store, owner), 1);
    other.batch_execute("ALTER TABLE events DROP CONSTRAINT no_b").unwrap();
    assert_eq!(store.append(&group).unwrap(), [[Duplicate], [Accepted]]);
    assert_eq!(usage(&*store, owner), 2);
}

#[test]
fn fallback_counts_only_the_events_it_stores() {
    let database = TestDatabase::postgres();
    let (first, second) = (database.store(), database.another_store());
    let owner = owner(&*first);
    first.append(&[submission(owner, now(), &["a", "b"])]).unwrap();
    // The second store has no cached keys, and copies them first.
    let group = [submission(owner, now(), &["c", "a"]), submission(owner, now(), &["b", "d"])];
    let outcomes = [[Accepted, Duplicate], [Duplicate, Accepted]];
    assert_eq!(second.append(&group).unwrap(), outcomes);
    assert_eq!((second.append_counts().fallbacks, usage(&*first, owner)), (1, 4));
}

#[test]
fn count_of_a_group_that_waits_appears_with_its_events() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let (mut other, mut watcher) = (other_connection(&database), other_connection(&database));
    other.batch_execute("BEGIN").unwrap();
    claim(&mut other, owner, "a");
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| store.append(&[submission(owner, now(), &["a", "b"])]));
        wait_for_waiter(&mut watcher);
        assert_eq!((usage(&*store, owner), store.sum_counts().unwrap()), (0, 0));
        other.batch_execute("ROLLBACK").unwrap();
        assert_eq!(appending.join().unwrap().unwrap(), [[Accepted, Accepted]]);
    });
    assert_eq!((usage(&*store, owner), store.sum_counts().unwrap()), (2, 1));
    assert_eq!(usage(&*store, owner), 2);
}

#[test]
fn late_counts_of_a_deleted_tenant_vanish_when_summed() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    delete(&*store, Deletion::Tenant(owner.tenant_id));
    store.append(&[submission(owner, now(), &["late"])]).unwrap();
    assert_eq!(usage(&*store, owner), 1);
    assert_eq!(store.sum_counts().unwrap(), 1);
    assert_eq!(usage(&*store, owner), 0);
    let mut connection = other_connection(&database);
    for table in ["count_log", "event_counts", "tenant_usage"] {
        assert_eq!(count(&mut connection, &format!("FROM {table}")), 0, "{table}");
    }
}

#[test]
fn late_counts_of_a_deleted_workspace_stay_in_the_usage() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    delete(&*store, Deletion::Workspace(owner));
    store.append(&[submission(owner, now(), &["late"])]).unwrap();
    assert_eq!(store.sum_counts().unwrap(), 1);
    assert_eq!(usage(&*store, owner), 1);
    assert_eq!(count(&mut other_connection(&database), "FROM event_counts"), 0);
}

#[test]
fn deletion_waits_for_a_sum_that_still_saw_its_tenant() {
    let deletions: [fn(Owner) -> Deletion; 2] =
        [|owner| Deletion::Tenant(owner.tenant_id), Deletion::Workspace];
    for (deletion, usage_left) in deletions.into_iter().zip([0, 1]) {
        let database = TestDatabase::postgres();
        let store = database.store();
        let owner = owner(&*store);
        let (mut other, mut watcher) = (other_connection(&database), other_connection(&database));
        // Acts as a sum that holds the lock and has read the tenants and workspaces.
        let lock = i64::from_be_bytes(*b"merccnts");
        other.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({lock})")).unwrap();
        std::thread::scope(|scope| {
            let deleting = scope.spawn(|| delete(&*store, deletion(owner)));
            wait_for_waiter(&mut watcher);
            let Owner { tenant_id, workspace_id } = owner;
            other
                .batch_execute(&format!(
                    "INSERT INTO event_counts VALUES ({tenant_id}, {workspace_id}, 'e', now(), 5);
                     INSERT INTO tenant_usage VALUES ({tenant_id}, 202611, 5); COMMIT"
                ))
                .unwrap();
            deleting.join().unwrap();
        });
        assert_eq!(count(&mut watcher, "FROM event_counts"), 0);
        assert_eq!(count(&mut watcher, "FROM tenant_usage"), usage_left);
    }
}

#[test]
fn servers_that_sum_at_once_count_every_group_once() {
    let database = TestDatabase::postgres();
    let owner = owner(&*database.store());
    let stores: Vec<_> = (0..3).map(|_| database.another_store()).collect();
    let mut summed = 0;
    for round in 0..10 {
        for number in 0..10 {
            let id = format!("{round} {number}");
            stores[0].append(&[submission(owner, now(), &[&id])]).unwrap();
        }
        summed += std::thread::scope(|scope| {
            let sums: Vec<_> =
                stores.iter().map(|store| scope.spawn(|| store.sum_counts().unwrap())).collect();
            sums.into_iter().map(|sum| sum.join().unwrap()).sum::<u64>()
        });
    }
    assert_eq!((summed, usage(&*stores[1], owner)), (100, 100));
}

#[test]
fn counts_of_a_large_tenant_are_deleted_in_steps() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let tenant_id = owner.tenant_id;
    database.execute(&format!(
        "INSERT INTO event_counts SELECT {tenant_id}, 1, number::text, now(), 1
         FROM generate_series(1, 12000) AS number"
    ));
    let removal = Removal::All(Deletion::Tenant(tenant_id));
    let (mut from, mut left) = (None, Vec::new());
    let mut connection = other_connection(&database);
    loop {
        from = store.remove_events(&removal, now(), from.as_ref()).unwrap().next;
        left.push(count(&mut connection, "FROM event_counts"));
        if from.is_none() {
            break;
        }
    }
    left.dedup();
    assert_eq!(left, [12_000, 7_000, 2_000, 0]);
}

#[test]
fn long_log_is_summed_in_parts() {
    let database = TestDatabase::postgres();
    let (store, mut other) = (database.store(), other_connection(&database));
    let owner = owner(&*store);
    // More groups than one sum takes, as after hours without a server.
    other
        .batch_execute(&format!(
            "INSERT INTO count_log (hour, tenant_ids, workspace_ids, event_names, counts)
             SELECT '2026-11-22T10:00:00Z', ARRAY[{0}], ARRAY[{1}], ARRAY['n'], ARRAY[2]
             FROM generate_series(1, 25000)",
            owner.tenant_id, owner.workspace_id
        ))
        .unwrap();
    assert_eq!(usage(&*store, owner), 50_000);
    assert_eq!(store.sum_counts().unwrap(), 25_000);
    assert_eq!((count(&mut other, "FROM count_log"), usage(&*store, owner)), (0, 50_000));
}

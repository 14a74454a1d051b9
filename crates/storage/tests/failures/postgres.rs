//! PostgreSQL: connections that die, servers that restart, locks, and data that is refused.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use mercurio_domain::store::{EventQuery, LeaseKind, StoreError, Submission};
use mercurio_domain::testing::{at, submission};
use mercurio_domain::verdict::Outcome::{Accepted, Duplicate};
use mercurio_domain::{EventId, EventKey, Owner, Timestamp};
use mercurio_storage::testing::TestDatabase;
use mercurio_storage::{DatabaseUrl, StoreOptions, open};

use super::server::Server;
use super::{owner, told};

pub(super) fn now() -> Timestamp {
    at("2026-11-22T10:00:00Z")
}

/// A connection beside the store, under a name by which it is told from the store's.
pub(super) fn beside(database: &TestDatabase) -> PgConnection {
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    connection.batch_execute("SET application_name = 'beside'").unwrap();
    connection
}

/// The store's connections.
const STORES: &str =
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mercurio'";

pub(super) fn count(connection: &mut PgConnection, sql: &str) -> i64 {
    diesel::select(diesel::dsl::sql::<BigInt>(&format!("(SELECT count(*) {sql})")))
        .get_result(connection)
        .unwrap()
}

fn terminate_all(connection: &mut PgConnection) {
    // Again and again, for the pool may be about to open one more.
    while count(connection, STORES) > 0 {
        connection
            .batch_execute(&format!("SELECT pg_terminate_backend(pid, 10000) {STORES}"))
            .unwrap();
    }
}

/// Returns once one of the store's connections waits for a lock.
pub(super) fn wait_for_waiter(connection: &mut PgConnection) {
    while count(connection, &format!("{STORES} AND wait_event_type = 'Lock'")) == 0 {
        std::thread::yield_now();
    }
}

/// Claims a key as another server would, in a transaction of its own that stays open.
pub(super) fn claim(connection: &mut PgConnection, owner: Owner, event_id: &str) {
    let (tenant, workspace) = (owner.tenant_id, owner.workspace_id);
    let key = EventKey::of(&EventId::lookup(event_id)).0;
    connection
        .batch_execute(&format!(
            "INSERT INTO event_keys VALUES ({tenant}, '{key}', {workspace}, now(), now())"
        ))
        .unwrap();
}

#[test]
fn connections_that_died_while_idle_cost_no_call() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    // Several connections of each kind.
    std::thread::scope(|scope| {
        for number in 0..8 {
            let store = &store;
            scope.spawn(move || {
                store.append(&[submission(owner, now(), &[&number.to_string()])]).unwrap();
                store.events(owner, &EventQuery::default()).unwrap();
            });
        }
    });
    let mut beside = beside(&database);
    for id in ["a", "b"] {
        terminate_all(&mut beside);
        store.ping().unwrap();
        assert_eq!(store.append(&[submission(owner, now(), &[id])]).unwrap(), [[Accepted]]);
        assert!(store.event(owner, &EventId::lookup(id)).unwrap().is_some());
    }
}

#[test]
fn a_connection_that_dies_at_work_makes_the_group_unavailable_and_the_next_call_works() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let mut other = beside(&database);
    let mut watcher = beside(&database);
    other.batch_execute("BEGIN").unwrap();
    claim(&mut other, owner, "b");
    let group = [submission(owner, now(), &["a", "b"])];
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| store.append(&group));
        wait_for_waiter(&mut watcher);
        terminate_all(&mut watcher);
        let error = appending.join().unwrap().unwrap_err();
        assert!(error.is_unavailable(), "{}", told(&error));
    });
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(store.append(&group).unwrap(), [[Accepted, Accepted]]);
}

#[test]
fn a_group_that_waits_for_another_writer_sees_what_became_of_its_key() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let (mut other, mut watcher) = (beside(&database), beside(&database));
    for (id, end, expected) in [("a", "ROLLBACK", Accepted), ("b", "COMMIT", Duplicate)] {
        other.batch_execute("BEGIN").unwrap();
        claim(&mut other, owner, id);
        std::thread::scope(|scope| {
            let appending = scope.spawn(|| store.append(&[submission(owner, now(), &[id])]));
            wait_for_waiter(&mut watcher);
            other.batch_execute(end).unwrap();
            assert_eq!(appending.join().unwrap().unwrap(), [[expected]]);
        });
    }
}

#[test]
fn a_group_that_a_deadlock_pushed_aside_is_tried_again() {
    let database = TestDatabase::postgres();
    let (mut other, mut watcher) = (beside(&database), beside(&database));
    // The store's connections look for a deadlock first, and so are the ones that give way.
    watcher
        .batch_execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 2000', current_database()); END $$",
        )
        .unwrap();
    other.batch_execute("SET deadlock_timeout = '10min'").unwrap();
    let store = database.another_store();
    let owner = owner(&*store);
    // The store claims in the order of keys; the other writer claims the last one first.
    let mut ids = ["a", "b"];
    ids.sort_by_key(|id| EventKey::of(&EventId::lookup(*id)));
    other.batch_execute("BEGIN").unwrap();
    claim(&mut other, owner, ids[1]);
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| store.append(&[submission(owner, now(), &["a", "b", "c"])]));
        wait_for_waiter(&mut watcher);
        claim(&mut other, owner, ids[0]);
        other.batch_execute("COMMIT").unwrap();
        assert_eq!(appending.join().unwrap().unwrap(), [[Duplicate, Duplicate, Accepted]]);
    });
}

#[test]
fn data_that_the_database_can_not_keep_is_refused_and_nothing_of_its_group_is_stored() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    // An id that was never checked, with the one character that PostgreSQL has no place for.
    let draft = EventDraft {
        event_name: Some("e".into()),
        user_id: Some("u".into()),
        ..EventDraft::default()
    };
    let guilty = draft
        .check("", &Reception::at(now()), || EventId::lookup("a\0b"), &mut Vec::new())
        .unwrap();
    let guilty = EnrichedEvent::new(guilty, EnrichmentJson::of(&Enrichment::default()));
    let innocent = submission(owner, now(), &["x", "y"]);
    let group = [innocent.clone(), Submission { owner, received_at: now(), events: vec![guilty] }];
    for _ in 0..2 {
        let error = store.append(&group).unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{}", told(&error));
    }
    assert_eq!(store.append(&[innocent]).unwrap(), [[Accepted, Accepted]]);
}

#[test]
fn a_server_that_is_not_there_is_told_soon_and_without_its_password() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = DatabaseUrl::parse(&format!("postgres://me:secret@127.0.0.1:{port}/db")).unwrap();
    let options =
        StoreOptions { connect_timeout: Duration::from_millis(300), ..StoreOptions::default() };
    let begun = Instant::now();
    let store = open(&url, &options).unwrap();
    for error in [
        store.ping().unwrap_err(),
        store.migrate().unwrap_err(),
        store.schema_state().unwrap_err(),
        store.find_api_key(&mercurio_domain::ApiKeyId::new("x")).unwrap_err(),
    ] {
        assert!(error.is_unavailable() && told(&error).contains("refused"), "{}", told(&error));
        assert!(
            !told(&error).contains("secret") && !format!("{error:?}").contains("secret"),
            "{error:?}"
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_read_that_takes_too_long_is_ended() {
    let database = TestDatabase::postgres();
    let options =
        StoreOptions { read_timeout: Duration::from_millis(100), ..StoreOptions::default() };
    let store = open(database.url(), &options).unwrap();
    let owner = owner(&*store);
    let mut other = beside(&database);
    other.batch_execute("BEGIN; LOCK TABLE events").unwrap();
    let error = store.events(owner, &EventQuery::default()).unwrap_err();
    assert!(
        error.is_unavailable() && told(&error).contains("statement timeout"),
        "{}",
        told(&error)
    );
    other.batch_execute("ROLLBACK").unwrap();
    assert!(store.events(owner, &EventQuery::default()).is_ok());
}

#[test]
fn a_probe_leaves_nothing_and_asks_no_right_that_a_server_may_lack() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let mut beside = beside(&database);
    let tables = "FROM pg_class WHERE relname = 'mercurio_probe'";
    for sql in [
        "SELECT 1",
        "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$",
    ] {
        beside.batch_execute(sql).unwrap();
        for _ in 0..2 {
            store.probe().unwrap();
            assert_eq!(count(&mut beside, tables), 0);
        }
    }
}

#[test]
fn a_database_that_takes_no_writes_for_now_is_unavailable() {
    let database = TestDatabase::postgres();
    let owner = owner(&*database.store());
    let set = |value| {
        beside(&database)
            .batch_execute(&format!(
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {value}', current_database()); END $$"
            ))
    };
    set("on").unwrap();
    let store = database.another_store();
    let error = store.append(&[submission(owner, now(), &["a"])]).unwrap_err();
    assert!(error.is_unavailable(), "{}", told(&error));
    assert!(store.probe().unwrap_err().is_unavailable());
    assert!(store.event(owner, &EventId::lookup("a")).unwrap().is_none());
}

#[test]
fn a_table_that_is_missing_is_an_internal_error() {
    let database = TestDatabase::empty_postgres();
    let error = database.store().has_tenants().unwrap_err();
    assert!(matches!(error, StoreError::Internal(_)), "{}", told(&error));
    assert!(told(&error).contains("does not exist"), "{}", told(&error));
}

#[test]
fn a_server_that_crashes_and_comes_back_is_found_again() {
    let server = Server::start("");
    let options =
        StoreOptions { connect_timeout: Duration::from_secs(1), ..StoreOptions::default() };
    let store = open(&DatabaseUrl::parse(&server.url()).unwrap(), &options).unwrap();
    store.migrate().unwrap();
    let owner = owner(&*store);
    assert_eq!(store.append(&[submission(owner, now(), &["a"])]).unwrap(), [[Accepted]]);
    store.ping().unwrap();
    server.crash();
    for _ in 0..2 {
        let error = store.append(&[submission(owner, now(), &["b"])]).unwrap_err();
        assert!(error.is_unavailable(), "{}", told(&error));
    }
    assert!(store.ping().unwrap_err().is_unavailable());
    server.resume();
    assert_eq!(
        store.append(&[submission(owner, now(), &["a", "b"])]).unwrap(),
        [[Duplicate, Accepted]]
    );
    store.ping().unwrap();
}

#[test]
fn one_store_at_a_time_may_remove_old_events_and_the_next_when_it_is_gone() {
    let database = TestDatabase::postgres();
    let (first, second) = (database.store(), database.another_store());
    let mut lease = first.lease(LeaseKind::Retention).unwrap().expect("nobody has it");
    assert!(second.lease(LeaseKind::Retention).unwrap().is_none());
    assert!(lease.hold().unwrap().is_some(), "and it tells the time");
    terminate_all(&mut beside(&database));
    assert!(lease.hold().is_err(), "it is lost with its connection");
    let next = second.lease(LeaseKind::Retention).unwrap();
    assert!(next.is_some() && first.lease(LeaseKind::Retention).unwrap().is_none());
    drop(next);
    // A session ends a moment after its connection.
    let begun = Instant::now();
    while first.lease(LeaseKind::Retention).unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

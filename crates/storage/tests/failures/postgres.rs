//! PostgreSQL: broken connections, restarts, locks, and rejected data.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use mercurio_domain::limits::Month;
use mercurio_domain::store::{EventQuery, LeaseKind, StoreError, Submission};
use mercurio_domain::testing::{at, submission};
use mercurio_domain::verdict::Outcome::{Accepted, Duplicate};
use mercurio_domain::{EventId, EventKey, Owner, Timestamp};
use mercurio_storage::testing::{TestDatabase, wait_until};
use mercurio_storage::{DatabaseUrl, StoreOptions, open};

use super::server::Server;
use super::{full_message, owner};

pub(super) fn now() -> Timestamp {
    at("2026-11-22T10:00:00Z")
}

/// A connection that is not the store's, with another application name.
pub(super) fn other_connection(database: &TestDatabase) -> PgConnection {
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    connection.batch_execute("SET application_name = 'test'").unwrap();
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
    // In a loop, because the pool may be opening another one.
    while count(connection, STORES) > 0 {
        connection
            .batch_execute(&format!("SELECT pg_terminate_backend(pid, 10000) {STORES}"))
            .unwrap();
    }
}

/// Returns once one of the store's connections waits for a lock.
pub(super) fn wait_for_waiter(connection: &mut PgConnection) {
    let waiting = format!("{STORES} AND wait_event_type = 'Lock'");
    wait_until("a connection of the store waits", || count(connection, &waiting) > 0);
}

/// Claims a key like another server, in a transaction that stays open.
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
fn idle_connections_that_broke_fail_no_call() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    // Several connections of each pool.
    std::thread::scope(|scope| {
        for number in 0..8 {
            let store = &store;
            scope.spawn(move || {
                store.append(&[submission(owner, now(), &[&number.to_string()])]).unwrap();
                store.events(owner, &EventQuery::default()).unwrap();
            });
        }
    });
    let mut other = other_connection(&database);
    // Twice: the second round breaks the connections opened by the first.
    for id in ["a", "b"] {
        terminate_all(&mut other);
        store.ping().unwrap();
        assert_eq!(store.append(&[submission(owner, now(), &[id])]).unwrap(), [[Accepted]]);
        assert!(store.event(owner, &EventId::lookup(id)).unwrap().is_some());
    }
}

#[test]
fn connection_lost_before_a_statement_is_prepared_is_replaced() {
    let database = TestDatabase::postgres();
    let store = database.another_store();
    // Opens a connection, on which only this statement is prepared.
    store.ping().unwrap();
    terminate_all(&mut other_connection(&database));
    for _ in 0..3 {
        assert_eq!(store.find_api_key(&mercurio_domain::ApiKeyId::new("x")).unwrap(), None);
    }
}

#[test]
fn broken_connection_fails_its_group_and_the_next_call_works() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let mut other = other_connection(&database);
    let mut watcher = other_connection(&database);
    other.batch_execute("BEGIN").unwrap();
    claim(&mut other, owner, "b");
    let group = [submission(owner, now(), &["a", "b"])];
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| store.append(&group));
        // The transaction has begun, so its failure must reach the caller.
        wait_for_waiter(&mut watcher);
        terminate_all(&mut watcher);
        let error = appending.join().unwrap().unwrap_err();
        assert!(error.is_unavailable(), "{}", full_message(&error));
    });
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(store.append(&group).unwrap(), [[Accepted, Accepted]]);
}

#[test]
fn group_waits_for_a_concurrent_writer_of_its_key() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    let (mut other, mut watcher) = (other_connection(&database), other_connection(&database));
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
fn group_that_loses_a_deadlock_is_retried() {
    let database = TestDatabase::postgres();
    let (mut other, mut watcher) = (other_connection(&database), other_connection(&database));
    // The store's connections detect the deadlock first, so they lose.
    watcher
        .batch_execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 2000', current_database()); END $$",
        )
        .unwrap();
    other.batch_execute("SET deadlock_timeout = '10min'").unwrap();
    // After the settings, which apply to new connections.
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
        // Closes the circle: each transaction now waits for the other.
        claim(&mut other, owner, ids[0]);
        other.batch_execute("COMMIT").unwrap();
        assert_eq!(appending.join().unwrap().unwrap(), [[Duplicate, Duplicate, Accepted]]);
    });
}

#[test]
fn unstorable_data_is_refused_with_its_whole_group() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = owner(&*store);
    // An unvalidated id with U+0000, which PostgreSQL can't store.
    let draft = EventDraft {
        event_name: Some("e".into()),
        user_id: Some("u".into()),
        ..EventDraft::default()
    };
    let invalid = draft
        .check("", &Reception::at(now()), || EventId::lookup("a\0b"), &mut Vec::new())
        .unwrap();
    let invalid = EnrichedEvent::new(invalid, EnrichmentJson::of(&Enrichment::default()));
    let valid = submission(owner, now(), &["x", "y"]);
    let group = [valid.clone(), Submission { owner, received_at: now(), events: vec![invalid] }];
    for _ in 0..2 {
        let error = store.append(&group).unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{}", full_message(&error));
    }
    assert_eq!(store.append(&[valid]).unwrap(), [[Accepted, Accepted]]);
}

#[test]
fn unreachable_server_fails_soon_without_the_password() {
    // A port that was just free.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = DatabaseUrl::parse(&format!("postgres://me:secret@127.0.0.1:{port}/db")).unwrap();
    let options =
        // Short, so that four failing calls stay within the bound below.
        StoreOptions { connect_timeout: Duration::from_millis(300), ..StoreOptions::default() };
    let begun = Instant::now();
    let store = open(&url, &options).unwrap();
    for error in [
        store.ping().unwrap_err(),
        store.migrate().unwrap_err(),
        store.schema_state().unwrap_err(),
        store.find_api_key(&mercurio_domain::ApiKeyId::new("x")).unwrap_err(),
    ] {
        assert!(
            error.is_unavailable() && full_message(&error).contains("refused"),
            "{}",
            full_message(&error)
        );
        assert!(
            !full_message(&error).contains("secret") && !format!("{error:?}").contains("secret"),
            "{error:?}"
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn slow_read_times_out() {
    let database = TestDatabase::postgres();
    let options =
        StoreOptions { read_timeout: Duration::from_millis(100), ..StoreOptions::default() };
    let store = open(database.url(), &options).unwrap();
    let owner = owner(&*store);
    let mut other = other_connection(&database);
    // ACCESS EXCLUSIVE, the default of LOCK TABLE, blocks readers too.
    other.batch_execute("BEGIN; LOCK TABLE events").unwrap();
    let error = store.events(owner, &EventQuery::default()).unwrap_err();
    assert!(matches!(error, StoreError::TimedOut(_)), "{}", full_message(&error));
    // The events' own time limit: other reads wait longer.
    store.ping().unwrap();
    other.batch_execute("ROLLBACK").unwrap();
    assert!(store.events(owner, &EventQuery::default()).is_ok());
}

#[test]
fn slow_reads_of_events_leave_other_reads_their_connections() {
    let database = TestDatabase::postgres();
    let options = StoreOptions {
        max_read_connections: std::num::NonZeroU32::MIN,
        // Short, so that a call without a connection fails soon.
        connect_timeout: Duration::from_millis(500),
        ..StoreOptions::default()
    };
    let store = open(database.url(), &options).unwrap();
    let owner = owner(&*store);
    let (mut other, mut watcher) = (other_connection(&database), other_connection(&database));
    other.batch_execute("BEGIN; LOCK TABLE events").unwrap();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| store.events(owner, &EventQuery::default()));
        wait_for_waiter(&mut watcher);
        assert!(store.event(owner, &EventId::lookup("a")).unwrap_err().is_unavailable());
        store.ping().unwrap();
        store.schema_state().unwrap();
        store.find_api_key(&mercurio_domain::ApiKeyId::new("x")).unwrap();
        store.usage(&[owner.tenant_id], Month::of(now())).unwrap();
        let mut pools: Vec<_> = store.connections().into_iter().map(|load| load.pool).collect();
        pools.sort_unstable();
        assert_eq!(pools, ["read", "system", "write"]);
        other.batch_execute("ROLLBACK").unwrap();
        assert!(reading.join().unwrap().is_ok());
    });
}

#[test]
fn probe_leaves_nothing_and_needs_no_extra_privilege() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let mut other = other_connection(&database);
    let tables = "FROM pg_class WHERE relname = 'mercurio_probe'";
    // With and without the right to create temporary tables.
    for sql in [
        "SELECT 1",
        "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$",
    ] {
        other.batch_execute(sql).unwrap();
        for _ in 0..2 {
            store.probe().unwrap();
            assert_eq!(count(&mut other, tables), 0);
        }
    }
}

#[test]
fn read_only_database_is_unavailable() {
    let database = TestDatabase::postgres();
    let owner = owner(&*database.store());
    let set_read_only = "DO $$ BEGIN EXECUTE format(
        'ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$";
    other_connection(&database).batch_execute(set_read_only).unwrap();
    // The setting applies to new connections.
    let store = database.another_store();
    let error = store.append(&[submission(owner, now(), &["a"])]).unwrap_err();
    assert!(error.is_unavailable(), "{}", full_message(&error));
    assert!(store.probe().unwrap_err().is_unavailable());
    assert!(store.event(owner, &EventId::lookup("a")).unwrap().is_none());
}

#[test]
fn missing_table_is_an_internal_error() {
    let database = TestDatabase::empty_postgres();
    let error = database.store().has_tenants().unwrap_err();
    assert!(matches!(error, StoreError::Internal(_)), "{}", full_message(&error));
    assert!(full_message(&error).contains("does not exist"), "{}", full_message(&error));
}

#[test]
fn store_reconnects_after_a_server_crash() {
    let server = Server::start("");
    let options =
        StoreOptions { connect_timeout: Duration::from_secs(1), ..StoreOptions::default() };
    let store = open(&DatabaseUrl::parse(&server.url()).unwrap(), &options).unwrap();
    store.migrate().unwrap();
    let owner = owner(&*store);
    assert_eq!(store.append(&[submission(owner, now(), &["a"])]).unwrap(), [[Accepted]]);
    store.ping().unwrap();
    // An immediate stop, so the pools keep dead connections.
    server.crash();
    for _ in 0..2 {
        let error = store.append(&[submission(owner, now(), &["b"])]).unwrap_err();
        assert!(error.is_unavailable(), "{}", full_message(&error));
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
fn lease_is_held_by_one_store_and_freed_with_its_connection() {
    let database = TestDatabase::postgres();
    let (first, second) = (database.store(), database.another_store());
    let mut lease = first.lease(LeaseKind::Retention).unwrap().expect("the lease is free");
    assert!(second.lease(LeaseKind::Retention).unwrap().is_none());
    assert!(lease.hold().unwrap().is_some(), "returns the clock");
    terminate_all(&mut other_connection(&database));
    assert!(lease.hold().is_err(), "lost with its connection");
    let next = second.lease(LeaseKind::Retention).unwrap();
    assert!(next.is_some() && first.lease(LeaseKind::Retention).unwrap().is_none());
    drop(next);
    // The server ends a session some time after its connection closes.
    wait_until("the lease is free again", || first.lease(LeaseKind::Retention).unwrap().is_some());
}

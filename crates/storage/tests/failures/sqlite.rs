//! SQLite: files that can't be made, locks of other processes, and the size of the log.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use mercurio_domain::payload::RawJson;
use mercurio_domain::store::{EventQuery, StoreError, Submission};
use mercurio_domain::testing::{at, submission};
use mercurio_domain::verdict::Outcome::Accepted;
use mercurio_domain::{EventId, Timestamp};
use mercurio_storage::testing::TestDatabase;
use mercurio_storage::{DatabaseUrl, StoreOptions, open};

use super::{owner, told};

fn now() -> Timestamp {
    at("2026-11-22T10:00:00Z")
}

fn path(database: &TestDatabase) -> PathBuf {
    database.url_text().strip_prefix("sqlite://").unwrap().into()
}

fn url(path: &std::path::Path) -> DatabaseUrl {
    DatabaseUrl::parse(&format!("sqlite://{}", path.display())).unwrap()
}

#[test]
fn the_file_is_made_with_the_folders_it_lies_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one/two/mercurio.db");
    let store = open(&url(&path), &StoreOptions::default()).unwrap();
    assert!(path.exists());
    store.migrate().unwrap();
    owner(&*store);
    drop(store);
    assert!(open(&url(&path), &StoreOptions::default()).unwrap().has_tenants().unwrap());
}

#[test]
fn a_file_that_can_not_be_made_is_told_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let options =
        StoreOptions { connect_timeout: Duration::from_millis(200), ..StoreOptions::default() };
    for place in ["file/mercurio.db", "folder"] {
        let Err(error) = open(&url(&folder.path().join(place)), &options) else {
            panic!("{place} was opened")
        };
        assert!(
            error.is_unavailable() && told(&error).contains(place.split('/').next().unwrap()),
            "{}",
            told(&error)
        );
    }
}

#[test]
fn a_file_that_is_no_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mercurio.db");
    fs::write(
        &path,
        "this is a letter and not a database, and it is long enough to be looked at".repeat(20),
    )
    .unwrap();
    let options =
        StoreOptions { connect_timeout: Duration::from_millis(200), ..StoreOptions::default() };
    let Err(error) = open(&url(&path), &options) else { panic!("it was opened") };
    assert!(told(&error).contains("not a database"), "{}", told(&error));
}

#[test]
fn a_lock_that_another_process_holds_makes_writes_unavailable_while_reads_go_on() {
    let database = TestDatabase::sqlite();
    let options =
        StoreOptions { connect_timeout: Duration::from_millis(20), ..StoreOptions::default() };
    let store = open(database.url(), &options).unwrap();
    let owner = owner(&*store);
    let mut other = SqliteConnection::establish(path(&database).to_str().unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let error = store.append(&[submission(owner, now(), &["a"])]).unwrap_err();
    assert!(
        error.is_unavailable() && told(&error).contains("database is locked"),
        "{}",
        told(&error)
    );
    assert!(store.event(owner, &EventId::lookup("a")).unwrap().is_none());
    store.ping().unwrap();
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(store.append(&[submission(owner, now(), &["a"])]).unwrap(), [[Accepted]]);
}

#[test]
fn two_processes_may_write_at_once() {
    let database = TestDatabase::sqlite();
    let stores = [database.store(), database.another_store()];
    let owner = owner(&*stores[0]);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let store = &stores[number % 2];
            scope.spawn(move || {
                for round in 0..20 {
                    let id = format!("{number}-{round}");
                    assert_eq!(
                        store.append(&[submission(owner, now(), &[&id])]).unwrap(),
                        [[Accepted]]
                    );
                }
            });
        }
    });
    let page =
        stores[1].events(owner, &EventQuery { limit: 1000, ..EventQuery::default() }).unwrap();
    assert_eq!(page.events.len(), 120);
}

#[test]
fn a_disk_that_is_full_is_unavailable_and_the_group_is_not_stored() {
    let database = TestDatabase::sqlite();
    let store = database.store();
    let owner = owner(&*store);
    let mut other = SqliteConnection::establish(path(&database).to_str().unwrap()).unwrap();
    // A trigger says what SQLite says when a page can't be had; filling a disk is not for tests.
    other
        .batch_execute(
            "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.event_id = 'b'
             BEGIN SELECT raise(ABORT, 'database or disk is full'); END",
        )
        .unwrap();
    let error = store.append(&[submission(owner, now(), &["a", "b", "c"])]).unwrap_err();
    assert!(error.is_unavailable(), "{}", told(&error));
    assert_eq!(store.events(owner, &EventQuery::default()).unwrap().events, []);
}

#[test]
fn a_missing_table_is_an_internal_error() {
    let error = TestDatabase::empty_sqlite().store().has_tenants().unwrap_err();
    assert!(matches!(error, StoreError::Internal(_)), "{}", told(&error));
}

#[test]
fn the_log_stays_bounded_while_events_are_written_and_read() {
    const GROUPS: usize = 40;
    let database = TestDatabase::sqlite();
    let store = database.store();
    let owner = owner(&*store);
    let log = path(&database).with_extension("db-wal");
    let (done, payload) = (AtomicBool::new(false), format!(r#"{{"x":"{}"}}"#, "x".repeat(4000)));
    let event = |number: usize| -> EnrichedEvent {
        let id = number.to_string();
        // Each at a time of its own, so that pages are read by the index and soon done.
        let happened_at =
            now().checked_add_micros(-i64::try_from(number).unwrap()).unwrap().to_string();
        let draft = EventDraft {
            event_id: Some(id.as_str().into()),
            event_name: Some("e".into()),
            user_id: Some("u".into()),
            properties: Some(RawJson::parse(payload.clone()).unwrap()),
            timestamp: Some(happened_at.as_str().into()),
            ..EventDraft::default()
        };
        let valid = draft
            .check("", &Reception::at(now()), || EventId::lookup(""), &mut Vec::new())
            .unwrap();
        EnrichedEvent::new(valid, EnrichmentJson::of(&Enrichment::default()))
    };
    let largest = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.events(owner, &EventQuery::default()).unwrap();
            }
        });
        let mut largest = 0;
        for group in 0..GROUPS {
            let events = (0..300).map(|number| event(300 * group + number)).collect();
            store.append(&[Submission { owner, received_at: now(), events }]).unwrap();
            largest = largest.max(fs::metadata(&log).unwrap().len());
        }
        done.store(true, Ordering::Relaxed);
        largest
    });
    let stored = fs::metadata(path(&database)).unwrap().len();
    assert!(stored > 30 << 20, "the test is too small: {stored}");
    assert!(largest < 48 << 20, "the log grew to {largest} bytes");
}

//! SQLite: unusable files, locks of other processes, and the size of the log.

use std::fs;
use std::os::unix::fs::PermissionsExt;
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

use super::{full_message, owner};

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
fn file_is_created_with_its_folders() {
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
fn new_files_and_folders_are_readable_by_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one/two/mercurio.db");
    let store = open(&url(&path), &StoreOptions::default()).unwrap();
    store.migrate().unwrap();
    owner(&*store);
    for name in ["one", "one/two"] {
        assert_eq!(mode(&folder.path().join(name)), 0o700, "{name}");
    }
    // The log and its index exist while the file is open.
    for name in ["one/two/mercurio.db", "one/two/mercurio.db-wal", "one/two/mercurio.db-shm"] {
        assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
    }
}

fn mode(file: &std::path::Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn file_that_exists_keeps_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mercurio.db");
    fs::write(&path, "").unwrap();
    // For a group of readers, as an operator may wish.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    open(&url(&path), &StoreOptions::default()).unwrap().migrate().unwrap();
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn uncreatable_file_is_reported_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let options =
        StoreOptions { connect_timeout: Duration::from_millis(200), ..StoreOptions::default() };
    for name in ["file/mercurio.db", "folder"] {
        let Err(error) = open(&url(&folder.path().join(name)), &options) else {
            panic!("{name} was opened")
        };
        assert!(
            error.is_unavailable()
                && full_message(&error).contains(name.split('/').next().unwrap()),
            "{}",
            full_message(&error)
        );
    }
}

#[test]
fn file_of_another_format_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mercurio.db");
    fs::write(
        &path,
        // The header of a database has 100 bytes.
        "this is not a database, and long enough for SQLite to read its header".repeat(20),
    )
    .unwrap();
    let options =
        StoreOptions { connect_timeout: Duration::from_millis(200), ..StoreOptions::default() };
    let Err(error) = open(&url(&path), &options) else { panic!("it was opened") };
    assert!(full_message(&error).contains("not a database"), "{}", full_message(&error));
}

#[test]
fn locked_file_makes_writes_unavailable_but_not_reads() {
    let database = TestDatabase::sqlite();
    let options =
        StoreOptions { connect_timeout: Duration::from_millis(200), ..StoreOptions::default() };
    let store = open(database.url(), &options).unwrap();
    let owner = owner(&*store);
    let mut other = SqliteConnection::establish(path(&database).to_str().unwrap()).unwrap();
    // Takes the write lock, as another process would.
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let error = store.append(&[submission(owner, now(), &["a"])]).unwrap_err();
    assert!(
        error.is_unavailable() && full_message(&error).contains("database is locked"),
        "{}",
        full_message(&error)
    );
    assert!(store.event(owner, &EventId::lookup("a")).unwrap().is_none());
    store.ping().unwrap();
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(store.append(&[submission(owner, now(), &["a"])]).unwrap(), [[Accepted]]);
}

#[test]
fn processes_may_write_concurrently() {
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
fn full_disk_is_unavailable_and_stores_nothing() {
    let database = TestDatabase::sqlite();
    let store = database.store();
    let owner = owner(&*store);
    let mut other = SqliteConnection::establish(path(&database).to_str().unwrap()).unwrap();
    // A trigger raises SQLite's own message, instead of filling a disk.
    other
        .batch_execute(
            "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.event_id = 'b'
             BEGIN SELECT raise(ABORT, 'database or disk is full'); END",
        )
        .unwrap();
    let error = store.append(&[submission(owner, now(), &["a", "b", "c"])]).unwrap_err();
    assert!(error.is_unavailable(), "{}", full_message(&error));
    assert_eq!(store.events(owner, &EventQuery::default()).unwrap().events, []);
}

#[test]
fn missing_table_is_an_internal_error() {
    let error = TestDatabase::empty_sqlite().store().has_tenants().unwrap_err();
    assert!(matches!(error, StoreError::Internal(_)), "{}", full_message(&error));
}

#[test]
fn slow_read_times_out() {
    let database = TestDatabase::sqlite();
    // Over at the first look at the clock, which a short statement ends before.
    let options = StoreOptions { read_timeout: Duration::ZERO, ..StoreOptions::default() };
    let store = open(database.url(), &options).unwrap();
    let owner = owner(&*store);
    let ids: Vec<String> = (0..5_000).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    store.append(&[submission(owner, now(), &ids)]).unwrap();
    let nobody = EventQuery { user_id: Some("nobody".to_owned()), ..EventQuery::default() };
    for _ in 0..2 {
        let error = store.events(owner, &nobody).unwrap_err();
        assert!(matches!(error, StoreError::TimedOut(_)), "{}", full_message(&error));
        // The limit ends with the read, and covers no other statement of the thread.
        assert_eq!(store.count_events(owner).unwrap(), 5_000);
        assert!(store.event(owner, &EventId::lookup("7")).unwrap().is_some());
    }
    assert_eq!(database.store().events(owner, &nobody).unwrap().events, []);
}

/// An event of 4 kB.
fn large_event(number: usize) -> EnrichedEvent {
    let id = number.to_string();
    let payload = format!(r#"{{"x":"{}"}}"#, "x".repeat(4000));
    // Distinct times, so that pages are read quickly by the index.
    let occurred_at =
        now().checked_add_micros(-i64::try_from(number).unwrap()).unwrap().to_string();
    let draft = EventDraft {
        event_id: Some(id.as_str().into()),
        event_name: Some("e".into()),
        user_id: Some("u".into()),
        properties: Some(RawJson::parse(payload).unwrap()),
        timestamp: Some(occurred_at.as_str().into()),
        ..EventDraft::default()
    };
    let valid =
        draft.check("", &Reception::at(now()), || EventId::lookup(""), &mut Vec::new()).unwrap();
    EnrichedEvent::new(valid, EnrichmentJson::of(&Enrichment::default()))
}

#[test]
fn log_stays_bounded_under_writes_and_reads() {
    // 40 groups of 300 events of 4 kB: 48 MB, more than the log may hold.
    const GROUPS: usize = 40;
    let database = TestDatabase::sqlite();
    let store = database.store();
    let owner = owner(&*store);
    let log = path(&database).with_extension("db-wal");
    let done = AtomicBool::new(false);
    let largest = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Continuous reads keep the log from restarting by itself.
            while !done.load(Ordering::Relaxed) {
                store.events(owner, &EventQuery::default()).unwrap();
            }
        });
        let mut largest = 0;
        for group in 0..GROUPS {
            let events = (0..300).map(|number| large_event(300 * group + number)).collect();
            store.append(&[Submission { owner, received_at: now(), events }]).unwrap();
            largest = largest.max(fs::metadata(&log).unwrap().len());
        }
        done.store(true, Ordering::Relaxed);
        largest
    });
    let stored = fs::metadata(path(&database)).unwrap().len();
    assert!(stored > 30 << 20, "the test is too small: {stored}");
    // 32 MiB, and the groups written while a reader delays the restart.
    assert!(largest < 48 << 20, "the log grew to {largest} bytes");
}

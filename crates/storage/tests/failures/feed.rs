//! The feed over crashes of PostgreSQL, and over databases that were replaced by their backups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use mercurio_domain::Owner;
use mercurio_domain::store::{
    EventQuery, FeedCursor, FeedCursorError, FeedError, FeedQuery, FeedStart, Store,
};
use mercurio_domain::testing::submission;
use mercurio_storage::testing::TestDatabase;
use mercurio_storage::{DatabaseUrl, StoreOptions, open};

use super::owner;
use super::postgres::now;
use super::server::Server;

/// Reads pages, and keeps what it has read.
struct Consumer {
    owner: Owner,
    cursor: FeedCursor,
    /// How often each event came.
    seen: BTreeMap<String, usize>,
}

impl Consumer {
    fn new(owner: Owner) -> Self {
        let cursor = FeedCursor::oldest(owner.workspace_id);
        Self { owner, cursor, seen: BTreeMap::new() }
    }

    /// Reads a page. Returns whether it reached the newest event.
    fn read_page(&mut self, store: &dyn Store) -> Result<bool, FeedError> {
        let start = FeedStart::After(self.cursor.clone());
        let page = store.feed(self.owner, &FeedQuery { start, limit: 3 })?;
        for event in page.events {
            *self.seen.entry(event.parts.event_id.to_string()).or_default() += 1;
        }
        self.cursor = page.next;
        Ok(page.is_newest)
    }

    fn catch_up(&mut self, store: &dyn Store) {
        while !self.read_page(store).unwrap() {}
    }

    /// The ids read, each once.
    #[track_caller]
    fn ids(&self) -> Vec<&str> {
        let repeated = self.seen.iter().filter(|(_, times)| **times > 1).count();
        assert_eq!(repeated, 0);
        self.seen.keys().map(String::as_str).collect()
    }
}

fn stored_ids(store: &dyn Store, owner: Owner) -> Vec<String> {
    let mut query = EventQuery { limit: 1000, ..EventQuery::default() };
    let mut ids = Vec::new();
    loop {
        let page = store.events(owner, &query).unwrap();
        ids.extend(page.events.iter().map(|event| event.parts.event_id.to_string()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    ids.sort();
    ids
}

#[test]
fn consumer_gets_each_event_once_over_crashes() {
    let server = Server::start("");
    let url = DatabaseUrl::parse(&server.url()).unwrap();
    let store = open(&url, &StoreOptions::default()).unwrap();
    store.migrate().unwrap();
    let owner = owner(&*store);
    let mut consumer = Consumer::new(owner);
    for round in 0..4 {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let (store, is_over) = (&store, &is_over);
                scope.spawn(move || {
                    for number in 0.. {
                        // Some are duplicates, whose transactions store nothing or begin again.
                        let ids =
                            [0, 1].map(|one| format!("{round} {} {}", writer % 2, number + one));
                        let group = submission(owner, now(), &ids.each_ref().map(String::as_str));
                        // After an error the group may be stored or not.
                        if store.append(&[group]).is_err() || is_over.load(Ordering::SeqCst) {
                            return;
                        }
                    }
                });
            }
            let before = consumer.seen.len();
            while consumer.seen.len() < before + 60 {
                consumer.read_page(&*store).unwrap();
            }
            server.crash();
            is_over.store(true, Ordering::SeqCst);
        });
        server.resume();
    }
    consumer.catch_up(&*store);
    assert_eq!(consumer.ids(), stored_ids(&*store, owner));
    let mut connection = PgConnection::establish(&server.url()).unwrap();
    let eras = diesel::dsl::sql::<BigInt>("(SELECT count(*) FROM feed_eras)");
    assert!(diesel::select(eras).get_result::<i64>(&mut connection).unwrap() >= 4);
}

#[test]
fn cursor_goes_on_in_the_backup_of_its_database() {
    let server = Server::start("");
    let url = DatabaseUrl::parse(&server.url()).unwrap();
    let store = open(&url, &StoreOptions::default()).unwrap();
    store.migrate().unwrap();
    let owner = owner(&*store);
    let (mut consumer, mut late) = (Consumer::new(owner), Consumer::new(owner));
    store.append(&[submission(owner, now(), &["before"])]).unwrap();
    late.catch_up(&*store);
    store.append(&[submission(owner, now(), &["unread by one"])]).unwrap();
    server.stop();
    server.copy_data("data", "backup");
    server.resume();
    // Lost with the data, but read. Many, so that the ids of the next transactions were given before.
    for number in 0..50 {
        store.append(&[submission(owner, now(), &[&format!("lost {number}")])]).unwrap();
    }
    consumer.catch_up(&*store);
    server.crash();
    server.copy_data("backup", "data");
    server.resume();
    store.append(&[submission(owner, now(), &["after 1", "after 2"])]).unwrap();
    let read = consumer.ids().len();
    // A cursor in an era that the backup does not have cannot be placed.
    match consumer.read_page(&*store).unwrap_err() {
        FeedError::Cursor(error) => assert_eq!(error, FeedCursorError::Replaced),
        FeedError::Store(error) => panic!("{error:?}"),
    }
    assert_eq!(consumer.ids().len(), read);
    // One in an era of the backup goes on.
    late.catch_up(&*store);
    assert_eq!(late.ids(), ["after 1", "after 2", "before", "unread by one"]);
}

/// Opens a database of the server.
fn store_of(server: &Server, name: &str) -> Arc<dyn Store> {
    let url = DatabaseUrl::parse(&server.url_of("postgres", name)).unwrap();
    open(&url, &StoreOptions::default()).unwrap()
}

/// A copy within one server has its start, its ids of transactions, and its eras.
#[test]
fn cursor_goes_on_in_a_copy_within_its_server() {
    let server = Server::start("");
    let mut admin = PgConnection::establish(&server.url()).unwrap();
    admin.batch_execute("CREATE DATABASE first").unwrap();
    let owner = {
        let first = store_of(&server, "first");
        first.migrate().unwrap();
        let owner = owner(&*first);
        first.append(&[submission(owner, now(), &["a"])]).unwrap();
        owner
    };
    admin.batch_execute("CREATE DATABASE second TEMPLATE first").unwrap();
    let (first, second) = (store_of(&server, "first"), store_of(&server, "second"));
    // Each goes on by itself. The ids of its transactions are higher than those of the other.
    second.append(&[submission(owner, now(), &["b"])]).unwrap();
    let mut consumer = Consumer::new(owner);
    first.append(&[submission(owner, now(), &["lost"])]).unwrap();
    consumer.catch_up(&*first);
    consumer.catch_up(&*second);
    assert_eq!(consumer.ids(), ["a", "b", "lost"]);
}

#[test]
fn cursor_goes_on_in_a_copy_of_its_sqlite_file() {
    let database = TestDatabase::sqlite();
    let store = database.store();
    let owner = owner(&*store);
    let mut consumer = Consumer::new(owner);
    store.append(&[submission(owner, now(), &["a", "b"])]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    database.execute(&format!("VACUUM INTO '{}'", copy.display()));
    // Read, but not in the copy.
    store.append(&[submission(owner, now(), &["lost 1", "lost 2", "lost 3"])]).unwrap();
    consumer.catch_up(&*store);
    let url = DatabaseUrl::parse(&format!("sqlite://{}", copy.display())).unwrap();
    let copy = open(&url, &StoreOptions::default()).unwrap();
    // The copy is behind the cursor until it has an era of its own.
    let mut early = Consumer { owner, cursor: consumer.cursor.clone(), seen: BTreeMap::new() };
    early.catch_up(&*copy);
    assert!(early.ids().is_empty());
    // As many numbers as were given before, and more.
    copy.append(&[submission(owner, now(), &["c", "d", "e", "f"])]).unwrap();
    consumer.catch_up(&*copy);
    assert_eq!(consumer.ids(), ["a", "b", "c", "d", "e", "f", "lost 1", "lost 2", "lost 3"]);
}

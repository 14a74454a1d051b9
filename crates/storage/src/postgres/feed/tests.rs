//! Transactions that stay open, eras, restored databases, and the plans of the queries.

use diesel::connection::SimpleConnection;
use diesel::query_builder::QueryFragment;
use mercurio_domain::store::{
    Catalog, EventWriter, Feed, FeedError, FeedQuery, MAX_OPEN_POSITIONS,
};
use mercurio_domain::testing::{at, provisioning, submission};
use mercurio_domain::{EventId, TenantId, Timestamp, WorkspaceId};

use super::super::PostgresStore;
use super::super::shared::explain::Explain;
use super::*;
use crate::DatabaseUrl;
use crate::pool::StoreOptions;
use crate::testing::TestDatabase;
use crate::url::Target;

struct Subject {
    database: TestDatabase,
    store: PostgresStore,
    owner: Owner,
}

fn now() -> Timestamp {
    at("2026-11-22T10:00:00Z")
}

impl Subject {
    fn new() -> Self {
        let database = TestDatabase::postgres();
        let url = DatabaseUrl::parse(&database.url_text()).unwrap();
        let Target::Postgres(parameters) = url.target() else { panic!("{url}") };
        let store = PostgresStore::open(&parameters.to_conninfo(), &StoreOptions::default());
        let (request, _) = provisioning("Acme", 1, now());
        let owner = store.provision(&request).unwrap().api_key.owner;
        store.event_days.prepare(&store.writers, [now()].into_iter()).unwrap();
        Self { database, store, owner }
    }

    fn append(&self, ids: &[&str]) {
        self.store.append(&[submission(self.owner, now(), ids)]).unwrap();
    }

    fn connect(&self) -> PgConnection {
        PgConnection::establish(&self.database.url_text()).unwrap()
    }

    /// Stores events in a transaction that stays open until the connection commits.
    fn begin(&self, ids: &[&str]) -> PgConnection {
        let mut connection = self.connect();
        let Owner { tenant_id, workspace_id } = self.owner;
        let mut sql = "BEGIN;".to_owned();
        for id in ids {
            let key = EventKey::of(&EventId::lookup(*id)).0;
            sql.push_str(&format!(
                "INSERT INTO event_keys VALUES ({tenant_id}, '{key}', {workspace_id}, '{0}', '{0}');
                 INSERT INTO events VALUES ({tenant_id}, {workspace_id}, '{key}', '{id}', 'track', 'e', '{0}', '{0}', NULL,
                     NULL, 'u', NULL, '1.0.0', NULL, NULL, NULL, '{{}}');",
                now()
            ));
        }
        connection.batch_execute(&sql).unwrap();
        connection
    }

    fn page(&self, start: FeedStart, limit: usize) -> FeedPage {
        self.store.feed(self.owner, &FeedQuery { start, limit }).unwrap()
    }

    /// Reads on after a cursor, and returns the ids.
    fn ids_after(&self, cursor: &mut FeedCursor, limit: usize) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let page = self.page(FeedStart::After(cursor.clone()), limit);
            ids.extend(page.events.iter().map(|event| event.parts.event_id.to_string()));
            // As a client keeps it.
            *cursor = FeedCursor::from_text(&page.next.to_text()).unwrap();
            if page.is_newest {
                ids.sort();
                return ids;
            }
        }
    }

    fn refusal(&self, cursor: FeedCursor) -> FeedCursorError {
        let query = FeedQuery { start: FeedStart::After(cursor), limit: 1 };
        match self.store.feed(self.owner, &query).unwrap_err() {
            FeedError::Cursor(error) => error,
            FeedError::Store(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn transaction_left_open_delays_only_its_own_events() {
    for limit in 1..5 {
        let subject = Subject::new();
        subject.append(&["a"]);
        let mut first = subject.begin(&["late 1", "late 2", "late 3"]);
        let mut second = subject.begin(&["later 1", "later 2"]);
        subject.append(&["b", "c", "d"]);
        let mut cursor = FeedCursor::oldest(subject.owner.workspace_id);
        assert_eq!(subject.ids_after(&mut cursor, limit), ["a", "b", "c", "d"]);
        // Other databases of the server have open transactions too.
        assert!(cursor.open.len() >= 2);
        // A page ends within the rest of d, e or f, and the open ones follow.
        subject.append(&["e", "f"]);
        let part = subject.page(FeedStart::After(cursor.clone()), 1);
        let ids: Vec<_> = part.events.iter().map(|event| event.parts.event_id.as_str()).collect();
        cursor = part.next;
        second.batch_execute("COMMIT").unwrap();
        let mut expected = vec!["e", "f", "later 1", "later 2"];
        expected.retain(|id| !ids.contains(id));
        assert_eq!(subject.ids_after(&mut cursor, limit), expected, "{limit}");
        assert!(!cursor.open.is_empty());
        first.batch_execute("COMMIT").unwrap();
        assert_eq!(subject.ids_after(&mut cursor, limit), ["late 1", "late 2", "late 3"]);
        assert!(subject.ids_after(&mut cursor, limit).is_empty());
    }
}

#[test]
fn events_open_at_a_start_from_now_are_read_later() {
    let subject = Subject::new();
    let mut open = subject.begin(&["late"]);
    subject.append(&["before"]);
    let mut cursor = subject.page(FeedStart::Now, 10).next;
    let mut rolled_back = subject.begin(&["never"]);
    subject.append(&["after"]);
    open.batch_execute("COMMIT").unwrap();
    rolled_back.batch_execute("ROLLBACK").unwrap();
    assert_eq!(subject.ids_after(&mut cursor, 10), ["after", "late"]);
}

#[test]
fn many_open_transactions_delay_later_events_but_lose_none() {
    let subject = Subject::new();
    subject.append(&["a"]);
    // Of any table: an id of a transaction does not show its purpose.
    let mut open = Vec::new();
    for _ in 0..40 {
        let mut connection = subject.connect();
        connection.batch_execute("BEGIN; SELECT pg_current_xact_id()").unwrap();
        open.push(connection);
    }
    subject.append(&["b"]);
    let mut cursor = FeedCursor::oldest(subject.owner.workspace_id);
    assert_eq!(subject.ids_after(&mut cursor, 10), ["a", "b"]);
    assert!(cursor.open.len() >= 40);
    // More than a cursor has room for end the page before the first of the others.
    let ids: Vec<String> = (100..100 + MAX_OPEN_POSITIONS + 7).map(|id| id.to_string()).collect();
    let snapshot = Snapshot::parse(&format!("100:500:{}", ids.join(",")), 3).unwrap();
    assert_eq!(snapshot.bound(), (3 << 48) + 100 + MAX_OPEN_POSITIONS as i64);
    drop(open);
    assert!(subject.ids_after(&mut cursor, 10).is_empty());
}

#[test]
fn cursor_goes_on_after_a_new_era() {
    let subject = Subject::new();
    let mut open = subject.begin(&["late"]);
    subject.append(&["a"]);
    let mut cursor = FeedCursor::oldest(subject.owner.workspace_id);
    assert_eq!(subject.ids_after(&mut cursor, 10), ["a"]);
    open.batch_execute("COMMIT").unwrap();
    // As a restart of the server, or one of another server with these tables.
    subject.database.execute("UPDATE feed_eras SET server_started_at = '2020-01-01 00:00+00'");
    subject.append(&["b"]);
    assert_eq!(subject.ids_after(&mut cursor, 10), ["b", "late"]);
    assert_eq!(cursor.last >> 48, 2);
}

#[test]
fn cursor_of_a_replaced_database_is_refused() {
    let subject = Subject::new();
    subject.append(&["a"]);
    let mut lost = FeedCursor::oldest(subject.owner.workspace_id);
    subject.ids_after(&mut lost, 10);
    // The copy began the same era by itself.
    subject.database.execute("UPDATE feed_eras SET token = (token + 1) % 4294967296");
    assert_eq!(subject.refusal(lost.clone()), FeedCursorError::Replaced);
    // The copy is older than the era.
    subject.database.execute("DELETE FROM feed_eras");
    assert_eq!(subject.refusal(lost), FeedCursorError::Replaced);
}

#[test]
fn events_of_before_the_feed_come_first() {
    let subject = Subject::new();
    subject.append(&["c", "a", "b"]);
    subject.database.execute("UPDATE event_keys SET position = 0");
    subject.append(&["d"]);
    for limit in 1..5 {
        let page = subject.page(FeedStart::Oldest, limit);
        assert!(page.events.iter().take(3).all(|event| event.parts.event_id.as_str() != "d"));
        let mut cursor = FeedCursor::oldest(subject.owner.workspace_id);
        assert_eq!(subject.ids_after(&mut cursor, limit), ["a", "b", "c", "d"]);
    }
}

#[test]
fn page_passes_any_number_of_expired_events() {
    let subject = Subject::new();
    for group in 0..6 {
        let ids: Vec<String> = (0..500).map(|event| format!("{group} {event}")).collect();
        subject.append(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // Their keys stay, as after retention.
    subject.database.execute("DELETE FROM events");
    subject.append(&["a", "b"]);
    for limit in [1, 7, 1_000] {
        let page = subject.page(FeedStart::Oldest, limit);
        assert_eq!(page.events.len(), limit.min(2), "{limit}");
        let mut cursor = FeedCursor::oldest(subject.owner.workspace_id);
        assert_eq!(subject.ids_after(&mut cursor, limit), ["a", "b"], "{limit}");
    }
}

fn plan(connection: &mut PgConnection, query: impl QueryFragment<diesel::pg::Pg>) -> String {
    Explain(query).load::<String>(connection).unwrap().join("\n")
}

/// Without statistics, and with those of a large and a small workspace.
#[test]
fn queries_read_the_index_in_its_order() {
    let subject = Subject::new();
    subject.append(&["a"]);
    let fill = "INSERT INTO event_keys SELECT 7, gen_random_uuid(), CASE WHEN n % 10 = 0 THEN 8 ELSE 9 END, now(), now(), n
        FROM generate_series(1, 50000) n";
    for set_up in ["SELECT 1", fill, "ANALYZE event_keys"] {
        subject.database.execute(set_up);
        let mut connection = subject.connect();
        connection.batch_execute(&format!("BEGIN; {SETTINGS}")).unwrap();
        for workspace_id in [8, 9, 1_000] {
            let limit = 1_000;
            let plans = [
                plan(
                    &mut connection,
                    NewKeys { workspace_id, after: 1_000, before: i64::MAX, limit },
                ),
                plan(&mut connection, OpenKeys { workspace_id, positions: vec![5, 6], limit }),
                plan(
                    &mut connection,
                    Rest { workspace_id, position: 5, after: Uuid::nil(), limit },
                ),
                plan(&mut connection, Newest { workspace_id }),
            ];
            for plan in plans {
                assert!(plan.contains("using event_keys_by_position"), "{set_up}\n{plan}");
                assert!(!plan.contains("Seq Scan"), "{set_up}\n{plan}");
            }
        }
        let time = Micros::from(now());
        let key = KeyRow { position: 1, key: Uuid::nil(), occurred_at: time, received_at: time };
        let owner = Owner { tenant_id: TenantId(7), workspace_id: WorkspaceId(9) };
        let look_up = LookUp::of(owner, &[key; 3]);
        let plan = plan(&mut connection, look_up);
        assert!(plan.contains("Nested Loop") && !plan.contains("Seq Scan"), "{plan}");
        assert_eq!(plan.matches("Index Scan").count(), 1, "one partition\n{plan}");
    }
}

#[test]
fn snapshot_shows_open_positions_of_its_era() {
    let position = |era: i64, id: i64| (era << 48) + id;
    let snapshot = Snapshot::parse("5:9:7,5", 2).unwrap();
    assert!(snapshot.is_open(position(2, 5)) && snapshot.is_open(position(2, 7)));
    assert!(!snapshot.is_open(position(2, 6)) && !snapshot.is_open(position(1, 5)));
    assert_eq!(snapshot.bound(), i64::MAX);
    // Before the first write of an era, an open transaction has no position.
    assert!(!Snapshot::parse("5:9:5", 0).unwrap().is_open(5));
    for other in ["", "5", "5:x:", "5:9:a"] {
        assert_eq!(Snapshot::parse(other, 1), None, "{other}");
    }
}

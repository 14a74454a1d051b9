//! Plans of the frequent queries, on tables large enough for the planner to have a choice.

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::query_builder::QueryFragment;
use mercurio_domain::event::EventType;
use mercurio_domain::store::{Direction, EventSort, Position};
use mercurio_domain::testing::at;
use mercurio_domain::{TenantId, Timestamp, WorkspaceId};

use super::super::driver::READER_SETTINGS;
use super::super::shared::explain::Explain;
use super::super::shared::pages::page_query;
use super::*;
use crate::testing::TestDatabase;

fn plan(connection: &mut PgConnection, query: impl QueryFragment<Pg>) -> String {
    Explain(query).load::<String>(connection).unwrap().join("\n")
}

fn owner(tenant: i64) -> Owner {
    Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(tenant) }
}

fn time(seconds: i64) -> Timestamp {
    at("2026-11-22T00:00:00Z").checked_add_micros(seconds * 1_000_000).unwrap()
}

/// Ten days of events of a large tenant and five small ones.
struct FilledDatabase {
    _database: TestDatabase,
    /// Has the settings of a reader.
    connection: PgConnection,
}

fn filled_database() -> FilledDatabase {
    let database = TestDatabase::postgres();
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    connection
        .batch_execute(&format!(
            // Ten partitions of about 10,000 rows: half are of one tenant, a tenth of each of five
            // others.
            "SET TIME ZONE 'UTC';
             DO $$ BEGIN FOR day IN 0..9 LOOP EXECUTE format(
                 'CREATE TABLE IF NOT EXISTS test_%s PARTITION OF events FOR VALUES FROM (%L) TO (%L)', day,
                 timestamptz '2026-01-01+00' + day * interval '1 day', timestamptz '2026-01-02+00' + day * interval '1 day');
             END LOOP; END $$;
             INSERT INTO events SELECT CASE WHEN n % 2 = 0 THEN 1 ELSE 2 + n % 10 END,
                 CASE WHEN n % 2 = 0 THEN 1 ELSE 2 + n % 10 END, gen_random_uuid(), n::text, 'track', 'e', t, t, NULL, NULL,
                 'u' || n % 1000, NULL, '1.0.0', '{{\"a\":1}}', NULL, NULL, '{{}}'
             FROM generate_series(0, 99999) n, LATERAL (SELECT timestamptz '2026-01-01+00' + n * interval '8.6 s') x(t);
             INSERT INTO event_keys SELECT tenant_id, key, workspace_id, occurred_at, received_at FROM events;
             ANALYZE events; ANALYZE event_keys; {READER_SETTINGS}"
        ))
        .unwrap();
    FilledDatabase { _database: database, connection }
}

#[test]
fn page_scans_the_time_index_for_any_workspace_size() {
    let mut database = filled_database();
    let connection = &mut database.connection;
    let key = EventKey::of(&EventId::lookup("x"));
    let after = Some(Position { occurred_at: at("2026-01-08T00:00:00Z"), key });
    let queries = [
        EventQuery { limit: 20, ..EventQuery::default() },
        EventQuery { after, limit: 20, ..EventQuery::default() },
        EventQuery {
            from: Some(at("2026-01-02T00:00:00Z")),
            to: Some(at("2026-01-05T00:00:00Z")),
            limit: 20,
            ..EventQuery::default()
        },
        EventQuery {
            after,
            kind: Some(EventType::Track),
            user_id: Some("u7".into()),
            ..EventQuery::default()
        },
    ];
    for tenant in [1, 3] {
        for query in &queries {
            let plan = plan(connection, page_query(owner(tenant), query));
            assert!(plan.contains("Index Scan Backward"), "{tenant} {query:?}\n{plan}");
            assert!(!plan.contains("Seq Scan on test_"), "{tenant} {query:?}\n{plan}");
            // Sorting is as good if few events match.
            let few = query.user_id.is_some();
            assert!(
                few || plan.contains("Presorted Key: events.occurred_at"),
                "{tenant} {query:?}\n{plan}"
            );
            // The cursor is an index condition and not a filter over skipped rows.
            let starts_at_cursor = plan.contains("AND (occurred_at <=");
            assert_eq!(starts_at_cursor, query.after.is_some(), "{tenant} {query:?}\n{plan}");
        }
    }
}

#[test]
fn event_lookup_uses_its_key_and_one_partition() {
    let mut database = filled_database();
    let connection = &mut database.connection;
    let key = Uuid::nil();
    let first = plan(connection, location_query(owner(1), key));
    assert!(first.contains("Index Scan using event_keys_pkey"), "{first}");
    let received_at = Micros::from(at("2026-01-03T10:00:00Z"));
    let location = LocationRow { workspace_id: 1, occurred_at: received_at, received_at };
    let second = plan(connection, event_query(owner(1), key, &location));
    assert!(second.contains("Index Scan") && !second.contains("Seq Scan"), "{second}");
    // Partition pruning leaves the day of receipt.
    assert_eq!(second.matches(" on test_").count(), 1, "{second}");
    assert!(second.contains("(occurred_at ="), "{second}");
}

#[test]
fn claim_of_a_group_is_one_insert_from_arrays() {
    let mut database = filled_database();
    let connection = &mut database.connection;
    let submission = mercurio_domain::testing::submission(owner(1), time(0), &["a", "b"]);
    let group = [submission];
    let candidates = Candidates::of(&group);
    let plan = plan(connection, claim::Claim::of(candidates.rows(), 1));
    assert!(
        plan.contains("Insert on event_keys") && plan.contains("Conflict Resolution: NOTHING"),
        "{plan}"
    );
    assert!(plan.contains("Function Scan on unnest"), "{plan}");
}

#[test]
fn ascending_page_scans_the_time_index_forward() {
    let mut database = filled_database();
    let sort = EventSort { direction: Direction::Ascending, ..EventSort::default() };
    let query = EventQuery { sort, limit: 20, ..EventQuery::default() };
    for tenant in [1, 3] {
        let plan = plan(&mut database.connection, page_query(owner(tenant), &query));
        assert!(plan.contains("Index Scan using") && !plan.contains("Seq Scan on test_"), "{plan}");
        assert!(plan.contains("Presorted Key: events.occurred_at"), "{plan}");
    }
}

#[test]
fn page_in_the_order_of_receipt_reads_the_days_of_its_span() {
    let mut database = filled_database();
    for direction in Direction::ALL {
        let query = EventQuery {
            sort: EventSort { order: EventOrder::Received, direction },
            received_from: Some(at("2026-01-03T00:00:00Z")),
            received_to: Some(at("2026-01-05T00:00:00Z")),
            ..EventQuery::default()
        };
        let plan = plan(&mut database.connection, page_query(owner(3), &query));
        assert_eq!(plan.matches(" on test_").count(), 2, "{plan}");
    }
}

//! The plans of the queries that are asked often, on tables that hold enough for the planner to choose.

use diesel::connection::SimpleConnection;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Text;
use mercurio_domain::event::EventType;
use mercurio_domain::store::Position;
use mercurio_domain::testing::at;
use mercurio_domain::{TenantId, Timestamp, WorkspaceId};

use super::*;
use crate::testing::TestDatabase;
use crate::verdicts::Candidates;

/// `EXPLAIN` of a query, with its parameters.
struct Explain<Q>(Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        pass.unsafe_to_cache_prepared();
        pass.push_sql("EXPLAIN (COSTS OFF) ");
        self.0.walk_ast(pass.reborrow())
    }
}

impl<Q> QueryId for Explain<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q> Query for Explain<Q> {
    type SqlType = Text;
}

impl<Q> RunQueryDsl<PgConnection> for Explain<Q> {}

fn plan(connection: &mut PgConnection, query: impl QueryFragment<Pg>) -> String {
    Explain(query).load::<String>(connection).unwrap().join("\n")
}

fn owner(tenant: i64) -> Owner {
    Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(tenant) }
}

fn time(seconds: i64) -> Timestamp {
    at("2026-11-22T00:00:00Z").checked_add_micros(seconds * 1_000_000).unwrap()
}

/// Ten days of events: one large tenant, and five small ones. The settings are those of the store's readers.
fn filled() -> (TestDatabase, PgConnection) {
    let database = TestDatabase::postgres();
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    connection
        .batch_execute(&format!(
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
             ANALYZE events; ANALYZE event_keys; {}",
            crate::postgres::READER
        ))
        .unwrap();
    (database, connection)
}

#[test]
fn a_page_of_a_small_or_large_workspace_goes_down_the_index_of_time() {
    let (_database, mut connection) = filled();
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
            let plan = plan(&mut connection, page_query(owner(tenant), query));
            assert!(plan.contains("Index Scan Backward"), "{tenant} {query:?}\n{plan}");
            assert!(!plan.contains("Seq Scan on test_"), "{tenant} {query:?}\n{plan}");
            // Where few events match, reading all of them by the index and sorting those few is as good.
            let few = query.user_id.is_some();
            assert!(
                few || plan.contains("Presorted Key: events.occurred_at"),
                "{tenant} {query:?}\n{plan}"
            );
            let entered = plan.contains("AND (occurred_at <=");
            assert_eq!(entered, query.after.is_some(), "{tenant} {query:?}\n{plan}");
        }
    }
}

#[test]
fn an_event_is_looked_up_by_its_key_and_then_in_one_partition() {
    let (_database, mut connection) = filled();
    let key = Uuid::nil();
    let first = plan(&mut connection, place_query(owner(1), key));
    assert!(first.contains("Index Scan using event_keys_pkey"), "{first}");
    let received_at = Micros::from(at("2026-01-03T10:00:00Z"));
    let place = PlaceRow { workspace_id: 1, occurred_at: received_at, received_at };
    let second = plan(&mut connection, event_query(owner(1), key, &place));
    assert!(second.contains("Index Scan") && !second.contains("Seq Scan"), "{second}");
    assert_eq!(second.matches(" on test_").count(), 1, "{second}");
    assert!(second.contains("(occurred_at ="), "{second}");
}

#[test]
fn a_group_is_written_by_two_statements_whose_number_does_not_grow() {
    let (_database, mut connection) = filled();
    let submission = mercurio_domain::testing::submission(owner(1), time(0), &["a", "b"]);
    let group = [submission];
    let candidates = Candidates::of(&group);
    let plan = plan(&mut connection, claim::Claim::of(candidates.rows()));
    assert!(
        plan.contains("Insert on event_keys") && plan.contains("Conflict Resolution: NOTHING"),
        "{plan}"
    );
    assert!(plan.contains("Function Scan on unnest"), "{plan}");
}

//! The plans of the queries that are asked often.

use diesel::connection::SimpleConnection;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Integer, Text};
use mercurio_domain::event::EventType;
use mercurio_domain::store::Position;
use mercurio_domain::testing::at;
use mercurio_domain::{TenantId, WorkspaceId};

use super::*;
use crate::testing::TestDatabase;

/// `EXPLAIN QUERY PLAN` of a query, with its parameters.
struct Explain<Q>(Q);

impl<Q: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        pass.unsafe_to_cache_prepared();
        pass.push_sql("EXPLAIN QUERY PLAN ");
        self.0.walk_ast(pass.reborrow())
    }
}

impl<Q> QueryId for Explain<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q> Query for Explain<Q> {
    type SqlType = (Integer, Integer, Integer, Text);
}

impl<Q> RunQueryDsl<SqliteConnection> for Explain<Q> {}

fn plan(connection: &mut SqliteConnection, query: impl QueryFragment<Sqlite>) -> String {
    let rows = Explain(query).load::<(i32, i32, i32, String)>(connection).unwrap();
    rows.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("\n")
}

fn owner() -> Owner {
    Owner { tenant_id: TenantId(1), workspace_id: WorkspaceId(1) }
}

/// Without statistics, as in a database that nobody ever analysed, and with those of many small workspaces.
fn with_and_without_statistics(check: impl Fn(&mut SqliteConnection)) {
    let database = TestDatabase::sqlite();
    let path = database.url_text();
    let mut connection =
        SqliteConnection::establish(path.strip_prefix("sqlite://").unwrap()).unwrap();
    check(&mut connection);
    connection
        .batch_execute(
            "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 9999)
             INSERT INTO events (tenant_id, workspace_id, key, event_id, type, event_name, occurred_at, received_at,
                 schema_version, enrichment)
             SELECT n % 40, n % 40, randomblob(16), n, 'track', 'e', n, n, '1.0.0', '{}' FROM n;
             ANALYZE",
        )
        .unwrap();
    check(&mut connection);
}

#[test]
fn a_page_goes_down_the_index_of_time_and_sorts_equal_times_alone() {
    let after = Some(Position {
        occurred_at: at("2026-01-08T00:00:00Z"),
        key: EventKey::of(&EventId::lookup("x")),
    });
    let from = Some(at("2026-01-02T00:00:00Z"));
    let cases = [
        (EventQuery::default(), "(tenant_id=? AND workspace_id=?)"),
        (
            EventQuery { after, ..EventQuery::default() },
            "(tenant_id=? AND workspace_id=? AND occurred_at<?)",
        ),
        (
            EventQuery { from, ..EventQuery::default() },
            "(tenant_id=? AND workspace_id=? AND occurred_at>?)",
        ),
        (
            EventQuery {
                after,
                from,
                kind: Some(EventType::Track),
                user_id: Some("u".into()),
                ..EventQuery::default()
            },
            "(tenant_id=? AND workspace_id=? AND occurred_at>? AND occurred_at<?)",
        ),
    ];
    with_and_without_statistics(|connection| {
        for (query, columns) in &cases {
            let plan = plan(connection, page_query(owner(), query));
            assert!(
                plan.contains(&format!("USING INDEX events_by_time {columns}")),
                "{query:?}\n{plan}"
            );
            assert!(plan.contains("LAST TERM OF ORDER BY"), "{query:?}\n{plan}");
        }
    });
}

#[test]
fn an_event_is_looked_up_by_its_key() {
    with_and_without_statistics(|connection| {
        let key = Key::of(EventKey::of(&EventId::lookup("x")));
        let plan = plan(connection, event_query(owner(), key));
        assert!(plan.contains("(tenant_id=? AND key=?)"), "{plan}");
    });
}

//! Plans of the frequent queries.

use diesel::connection::SimpleConnection;
use diesel::query_builder::QueryFragment;
use diesel::sqlite::Sqlite;
use mercurio_domain::event::EventType;
use mercurio_domain::store::Position;
use mercurio_domain::testing::at;
use mercurio_domain::{TenantId, WorkspaceId};

use super::super::shared::explain::Explain;
use super::*;
use crate::testing::TestDatabase;

fn plan(connection: &mut SqliteConnection, query: impl QueryFragment<Sqlite>) -> String {
    let rows = Explain(query).load::<(i32, i32, i32, String)>(connection).unwrap();
    rows.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("\n")
}

fn owner() -> Owner {
    Owner { tenant_id: TenantId(1), workspace_id: WorkspaceId(1) }
}

/// Runs `check` without statistics and with those of many small workspaces.
fn with_and_without_statistics(check: impl Fn(&mut SqliteConnection)) {
    let database = TestDatabase::sqlite();
    let path = database.url_text();
    let mut connection =
        SqliteConnection::establish(path.strip_prefix("sqlite://").unwrap()).unwrap();
    check(&mut connection);
    connection
        .batch_execute(
            // 10,000 events of 40 workspaces: ANALYZE then shows the planner 250 rows each.
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
fn page_scans_the_time_index_and_sorts_only_equal_times() {
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
            // The index orders the time; only the key among equal times is sorted.
            assert!(plan.contains("LAST TERM OF ORDER BY"), "{query:?}\n{plan}");
        }
    });
}

#[test]
fn event_lookup_uses_its_key() {
    with_and_without_statistics(|connection| {
        let key = key_value(EventKey::of(&EventId::lookup("x")));
        let plan = plan(connection, event_query(owner(), key));
        assert!(plan.contains("(tenant_id=? AND key=?)"), "{plan}");
    });
}

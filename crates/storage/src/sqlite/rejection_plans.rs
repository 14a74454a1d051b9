//! Plans of the queries of rejections.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::query_builder::QueryFragment;
use diesel::sqlite::Sqlite;
use mercurio_domain::store::{Position, RejectionCountQuery, RejectionQuery};
use mercurio_domain::testing::at;
use mercurio_domain::verdict::FieldErrorCode;
use mercurio_domain::{EventKey, Owner, TenantId, WorkspaceId};
use uuid::Uuid;

use super::shared::explain::Explain;
use super::shared::rejections::{
    RejectionPosition, Search, Totals, examples_query, later_workspaces, page_query,
};
use crate::rows::RowId;
use crate::testing::TestDatabase;

const OWNER: Owner = Owner { tenant_id: TenantId(1), workspace_id: WorkspaceId(1) };

fn plan(connection: &mut SqliteConnection, query: impl QueryFragment<Sqlite>) -> String {
    let rows = Explain(query).load::<(i32, i32, i32, String)>(connection).unwrap();
    rows.into_iter().map(|(.., step)| step).collect::<Vec<_>>().join("\n")
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
            "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 9999)
             INSERT INTO rejections (id, tenant_id, workspace_id, received_at, codes, errors, event, is_cut, request_id,
                 api_key_id, protocol)
             SELECT randomblob(16), n % 40, n % 40, n, ',required,', '[]', '{}', 0, 'r', 'k', 'mercurio' FROM n;
             ANALYZE",
        )
        .unwrap();
    check(&mut connection);
}

#[test]
fn page_scans_the_time_index_and_sorts_only_equal_times() {
    let after =
        Some(Position { occurred_at: at("2026-01-08T00:00:00Z"), key: EventKey(Uuid::max()) });
    let from = Some(at("2026-01-02T00:00:00Z"));
    let any = RejectionQuery::default();
    let cases = [
        (any.clone(), "(tenant_id=? AND workspace_id=?)"),
        (
            RejectionQuery { after, ..any.clone() },
            "(tenant_id=? AND workspace_id=? AND received_at<?)",
        ),
        (
            RejectionQuery { after, from, code: Some(FieldErrorCode::Required), ..any },
            "(tenant_id=? AND workspace_id=? AND received_at>? AND received_at<?)",
        ),
    ];
    with_and_without_statistics(|connection| {
        for (query, columns) in &cases {
            let plan = plan(connection, page_query(OWNER, query));
            let index = format!("USING INDEX rejections_by_time {columns}");
            assert!(plan.contains(&index), "{query:?}\n{plan}");
            assert!(plan.contains("LAST TERM OF ORDER BY"), "{query:?}\n{plan}");
        }
    });
}

#[test]
fn totals_find_examples_by_key() {
    let (from, to) = (at("2026-01-02T00:00:00Z"), at("2026-01-03T00:00:00Z"));
    with_and_without_statistics(|connection| {
        let query = RejectionCountQuery { from, to, limit: 20 };
        let plan = plan(connection, Totals::of(OWNER, &query));
        assert!(
            plan.contains("USING COVERING INDEX sqlite_autoindex_rejections_1 (id=?)"),
            "{plan}"
        );
        assert!(!plan.contains("SCAN rejection"), "{plan}");
        let plan = self::plan(connection, examples_query(&query, vec![RowId(Uuid::nil())]));
        assert!(plan.contains("sqlite_autoindex_rejections_1 (id=? AND received_at>"), "{plan}");
    });
}

#[test]
fn search_for_a_person_follows_the_time_index() {
    let from = RejectionPosition { workspace_id: 1, received_at: 5, id: Uuid::nil() };
    with_and_without_statistics(|connection| {
        let plan = plan(connection, Search::of(TenantId(1), "u1", from));
        let index = "rejections_by_time (tenant_id=? AND workspace_id=? AND received_at>?)";
        assert!(plan.contains(index), "{plan}");
        assert!(plan.contains("LAST TERM OF ORDER BY"), "{plan}");
        let plan = self::plan(connection, later_workspaces(TenantId(1), 1));
        let index = "COVERING INDEX rejections_by_time (tenant_id=? AND workspace_id>?)";
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{plan}");
    });
}

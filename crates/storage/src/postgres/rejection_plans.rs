//! Plans of the queries of rejections, on tables large enough for the planner to have a choice.

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::QueryFragment;
use mercurio_domain::store::{Position, RejectionCountQuery, RejectionQuery};
use mercurio_domain::testing::at;
use mercurio_domain::verdict::FieldErrorCode;
use mercurio_domain::{EventKey, Owner, TenantId, WorkspaceId};
use uuid::Uuid;

use super::driver::READER_SETTINGS;
use super::removal::keep_index_order;
use super::shared::explain::Explain;
use super::shared::rejections::{
    RejectionPosition, Search, Totals, examples_query, later_workspaces, page_query,
};
use crate::rows::RowId;
use crate::testing::TestDatabase;

fn plan(connection: &mut PgConnection, query: impl QueryFragment<Pg>) -> String {
    Explain(query).load::<String>(connection).unwrap().join("\n")
}

fn owner(tenant: i64) -> Owner {
    Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(tenant) }
}

/// Eight days of rejections and counts of a large tenant and five small ones.
fn fill(connection: &mut PgConnection) {
    connection
        .batch_execute(&format!(
            "SET TIME ZONE 'UTC';
             DO $$ BEGIN FOR day IN 0..7 LOOP EXECUTE format(
                 'CREATE TABLE test_%s PARTITION OF rejections FOR VALUES FROM (%L) TO (%L)', day,
                 timestamptz '2026-01-01+00' + day * interval '1 day', timestamptz '2026-01-02+00' + day * interval '1 day');
             END LOOP; END $$;
             INSERT INTO rejections SELECT gen_random_uuid(), CASE WHEN n % 2 = 0 THEN 1 ELSE 2 + n % 10 END,
                 CASE WHEN n % 2 = 0 THEN 1 ELSE 2 + n % 10 END, t, NULL, 'e', 'u', NULL, ',required,', '[]', '{{}}', false,
                 'r', 'k', 'mercurio', NULL, NULL
             FROM generate_series(0, 79999) n, LATERAL (SELECT timestamptz '2026-01-01+00' + n * interval '8.6 s') x(t);
             INSERT INTO rejection_counts SELECT 1 + n % 5, 1 + n % 5, 'error', 'required', '/p' || n % 50, 'e' || n / 8000,
                 timestamptz '2026-01-01+00' + n / 250 % 192 * interval '1 hour', 1, NULL
             FROM generate_series(0, 39999) n ON CONFLICT DO NOTHING;
             ANALYZE rejections; ANALYZE rejection_counts; {READER_SETTINGS}"
        ))
        .unwrap();
}

#[test]
fn page_scans_the_time_index_for_any_workspace_size() {
    let database = TestDatabase::postgres();
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    fill(&mut connection);
    let after =
        Some(Position { occurred_at: at("2026-01-06T00:00:00Z"), key: EventKey(Uuid::max()) });
    let any = RejectionQuery { limit: 20, ..RejectionQuery::default() };
    let queries = [
        any.clone(),
        RejectionQuery { after, ..any.clone() },
        RejectionQuery { after, code: Some(FieldErrorCode::Required), ..any.clone() },
        RejectionQuery {
            from: Some(at("2026-01-02T00:00:00Z")),
            to: Some(at("2026-01-05T00:00:00Z")),
            event_name: Some("e".to_owned()),
            ..any
        },
    ];
    for tenant in [1, 3] {
        for query in &queries {
            let plan = plan(&mut connection, page_query(owner(tenant), query));
            assert!(plan.contains("Index Scan Backward"), "{tenant} {query:?}\n{plan}");
            assert!(!plan.contains("Seq Scan on test_"), "{tenant} {query:?}\n{plan}");
            assert!(
                plan.contains("Presorted Key: rejections.received_at"),
                "{tenant} {query:?}\n{plan}"
            );
            // The cursor is an index condition and not a filter over skipped rows.
            let starts_at_cursor = plan.contains("AND (received_at <=");
            assert_eq!(starts_at_cursor, query.after.is_some(), "{tenant} {query:?}\n{plan}");
        }
    }
}

#[test]
fn totals_find_examples_by_key() {
    let database = TestDatabase::postgres();
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    fill(&mut connection);
    let query = RejectionCountQuery {
        from: at("2026-01-02T00:00:00Z"),
        to: at("2026-01-03T00:00:00Z"),
        limit: 20,
    };
    let plan = plan(&mut connection, Totals::of(owner(1), &query));
    assert!(!plan.contains("Seq Scan on test_"), "{plan}");
    assert!(plan.contains("(id = counted.example)"), "{plan}");
    assert!(plan.contains("rejection_counts_pkey on rejection_counts counted"), "{plan}");
    let ids = vec![RowId(Uuid::nil()), RowId(Uuid::max())];
    let plan = self::plan(&mut connection, examples_query(&query, ids));
    // Of the eight partitions, those of the day and of the hour after it.
    assert_eq!(plan.matches("_pkey on test_").count(), 2, "{plan}");
}

#[test]
fn search_for_a_person_follows_the_time_index() {
    let database = TestDatabase::postgres();
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    fill(&mut connection);
    connection.begin_test_transaction().unwrap();
    keep_index_order(&mut connection).unwrap();
    let received_at = at("2026-01-03T00:00:00Z").as_micros();
    for (tenant, received_at) in [(1, 0), (1, received_at), (3, 0), (3, received_at)] {
        let from = RejectionPosition { workspace_id: tenant, received_at, id: Uuid::nil() };
        let plan = plan(&mut connection, Search::of(TenantId(tenant), "u1", from));
        assert!(plan.contains("AND (received_at >="), "{tenant}\n{plan}");
        assert!(!plan.contains("Seq Scan on test_"), "{tenant}\n{plan}");
        // Sorts only equal times, and stops at the limit.
        assert!(plan.contains("Presorted Key: rejections.received_at"), "{tenant}\n{plan}");
        assert!(!plan.contains("Sort Key: rejections.workspace_id"), "{tenant}\n{plan}");
        // Days before the position have no part.
        let days = if received_at == 0 { 8 } else { 6 };
        assert_eq!(plan.matches("Index Scan using test_").count(), days, "{tenant}\n{plan}");
    }
    let plan = plan(&mut connection, later_workspaces(TenantId(1), 0));
    assert_eq!(plan.matches("Index Only Scan using test_").count(), 8, "{plan}");
    assert!(plan.contains("Merge Append"), "{plan}");
}

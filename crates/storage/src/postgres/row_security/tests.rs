//! Queries without a tenant under row security, and the roles a server may have.

use diesel::sql_types::BigInt;
use mercurio_domain::Owner;
use mercurio_domain::limits::Month;
use mercurio_domain::store::{
    AuditLog, Catalog, EventCounts, EventWriter, RejectionBatch, RejectionCount,
    RejectionCountQuery, RejectionGroup, RejectionKind, Rejections, Store,
};
use mercurio_domain::testing::{at, provisioning, rejection, submission};
use mercurio_domain::verdict::FieldErrorCode;

use super::super::PostgresStore;
use crate::DatabaseUrl;
use crate::pool::StoreOptions;
use crate::testing::TestDatabase;
use crate::url::Target;

use super::*;

fn open(url: &str) -> PostgresStore {
    let url = DatabaseUrl::parse(url).unwrap();
    let Target::Postgres(parameters) = url.target() else { panic!("{url}") };
    PostgresStore::open(&parameters.to_conninfo(), &StoreOptions::default())
}

/// Two tenants with three events each.
fn tenants(store: &PostgresStore) -> [Owner; 2] {
    ["Acme", "Other"].map(|name| {
        let (request, _) = provisioning(name, name.len() as u8, at("2026-11-22T10:00:00Z"));
        let owner = store.provision(&request).unwrap().api_key.owner;
        store.append(&[submission(owner, at("2026-11-22T10:00:00Z"), &["a", "b", "c"])]).unwrap();
        store.record_rejections(&rejections(owner)).unwrap();
        owner
    })
}

/// A rejection and its count.
fn rejections(owner: Owner) -> RejectionBatch {
    let event = rejection(owner, at("2026-11-22T10:00:00Z"), &[FieldErrorCode::Required]);
    let group = RejectionGroup {
        owner,
        hour: event.received_at.start_of_hour(),
        kind: RejectionKind::Event,
        code: String::new(),
        pointer: String::new(),
        event_name: "e".to_owned(),
    };
    let count = RejectionCount { rejected: 1, example: Some(event.id) };
    RejectionBatch { events: vec![event], counts: vec![(group, count)] }
}

/// Counts rows with a query that names no tenant, as the reader of `tenant_id`.
fn count(store: &PostgresStore, tenant_id: TenantId, from: &str) -> Result<i64, Error> {
    let count = diesel::dsl::sql::<BigInt>(&format!("count(*) FROM {from}"));
    store.row_security.read(&store.readers, tenant_id, |connection| {
        Ok(diesel::select(count.clone()).get_result(connection)?)
    })
}

/// The error of a statement that must fail, as the reader of `tenant_id`.
fn refusal(store: &PostgresStore, tenant_id: TenantId, statement: &str) -> String {
    let run = |connection: &mut PgConnection| Ok(connection.batch_execute(statement)?);
    store.row_security.read(&store.readers, tenant_id, run).unwrap_err().message
}

fn check(store: &PostgresStore, tenants: [Owner; 2]) {
    let [acme, other] = tenants;
    assert!(store.row_security.is_available(&store.readers).unwrap());
    for tenant_id in [acme.tenant_id, other.tenant_id] {
        // The last query defeats its own filter, like a mistake in a real one.
        for from in ["events", "event_keys", "events WHERE tenant_id > 0 OR true"] {
            assert_eq!(count(store, tenant_id, from).unwrap(), 3, "{from}");
        }
        for from in ["rejections", "rejection_counts"] {
            assert_eq!(count(store, tenant_id, from).unwrap(), 1, "{from}");
        }
        for table in ["events", "rejections", "rejection_counts"] {
            let of_others = format!("{table} WHERE tenant_id <> {tenant_id}");
            assert_eq!(count(store, tenant_id, &of_others).unwrap(), 0);
        }
    }
    // Ids without a tenant see nothing, not everything.
    for unknown in [TenantId(0), TenantId(-1), TenantId(i64::MAX)] {
        assert_eq!(count(store, unknown, "events").unwrap(), 0);
    }
    for statement in [
        // A partition has no policy of its own, so the role has no right on it.
        "SELECT FROM events_20261122",
        "SELECT FROM rejections_20261122",
        "SELECT FROM api_keys",
        "SELECT FROM tenants",
        "SELECT FROM workspaces",
        "SELECT FROM tenant_limits",
        "SELECT FROM tenant_usage",
        "SELECT FROM event_counts",
        "SELECT FROM count_log",
        "SELECT FROM audit_log",
    ] {
        let message = refusal(store, acme.tenant_id, statement);
        assert!(message.contains("permission denied"), "{statement}: {message}");
    }
    for statement in [
        "DELETE FROM events",
        "UPDATE events SET tenant_id = 1",
        "DELETE FROM event_keys",
        "DELETE FROM rejections",
        "UPDATE rejection_counts SET rejected = 2",
    ] {
        let message = refusal(store, acme.tenant_id, statement);
        assert!(
            message.contains("permission denied") || message.contains("read-only"),
            "{statement}: {message}"
        );
    }
    // Correct queries work, on connections that served another tenant before.
    for owner in [acme, other, acme] {
        assert_eq!(store.events(owner, &Default::default()).unwrap().events.len(), 3);
        let mixed = Owner { workspace_id: acme.workspace_id, tenant_id: other.tenant_id };
        assert!(store.events(mixed, &Default::default()).unwrap().events.is_empty());
        let page = store.rejections(owner, &Default::default()).unwrap();
        assert_eq!(page.events.iter().map(|event| event.owner).collect::<Vec<_>>(), [owner]);
        assert!(store.rejections(mixed, &Default::default()).unwrap().events.is_empty());
        let day = RejectionCountQuery {
            from: at("2026-11-22T00:00:00Z"),
            to: at("2026-11-23T00:00:00Z"),
            limit: 10,
        };
        let totals = store.rejection_totals(owner, &day).unwrap();
        assert_eq!(totals.len(), 1);
        assert_eq!(totals[0].example.as_ref().map(|event| event.owner), Some(owner));
    }
}

#[test]
fn query_without_a_tenant_sees_only_its_own_rows() {
    let database = TestDatabase::postgres();
    let store = open(&database.url_text());
    let tenants = tenants(&store);
    check(&store, tenants);
}

#[test]
fn policies_cover_every_table_with_a_tenant() {
    let database = TestDatabase::postgres();
    let store = open(&database.url_text());
    let [acme, _] = tenants(&store);
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    // Roles belong to the cluster, so parallel tests need distinct names.
    let role = format!("reader_{}", std::process::id());
    connection
        .batch_execute(&format!(
            "DROP ROLE IF EXISTS {role}; CREATE ROLE {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
             INSERT INTO tenant_limits SELECT id, 'events_burst', 5 FROM tenants;
             INSERT INTO deletions SELECT id, 0, 5, 5, 5 FROM tenants;
             INSERT INTO tenant_usage SELECT id, 202611, 5 FROM tenants;
             INSERT INTO audit_log (actor, command, tenant_id, detail, outcome) SELECT 'a', 'c', id, '', 'done' FROM tenants;
             INSERT INTO event_counts SELECT id, 1, 'e', date_trunc('hour', now()), 5 FROM tenants"
        ))
        .unwrap();
    let mut counts = Vec::new();
    // Without the setting no row is visible.
    for tenant in [None, Some(acme.tenant_id.0)] {
        connection.batch_execute(&format!("BEGIN; SET LOCAL ROLE {role}")).unwrap();
        if let Some(tenant) = tenant {
            connection
                .batch_execute(&format!("SET LOCAL mercurio.tenant_id = '{tenant}'"))
                .unwrap();
        }
        for table in [
            "tenants",
            "workspaces",
            "api_keys",
            "tenant_limits",
            "tenant_usage",
            "event_counts",
            "deletions",
            "event_keys",
            "events",
            "rejections",
            "rejection_counts",
            // A row has several tenants, or concerns none, so all are hidden.
            "count_log",
            "audit_log",
        ] {
            let count = diesel::dsl::sql::<BigInt>(&format!("count(*) FROM {table}"));
            counts.push(diesel::select(count).get_result::<i64>(&mut connection).unwrap());
        }
        if tenant.is_some() {
            // Writing another tenant's row fails too.
            let foreign = "INSERT INTO tenant_limits SELECT 2, 'requests_burst', 5";
            let message = connection.batch_execute(foreign).unwrap_err().to_string();
            assert!(message.contains("row-level security"), "{message}");
        }
        connection.batch_execute("ROLLBACK").unwrap();
    }
    connection.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    assert_eq!(counts, [[0; 13], [1, 1, 1, 1, 1, 1, 1, 3, 3, 1, 1, 0, 0]].concat());
}

#[test]
fn page_under_row_security_scans_the_time_index() {
    let database = TestDatabase::postgres();
    let store = open(&database.url_text());
    let [acme, _] = tenants(&store);
    // The query of a page, with its tenant: the policy must not cost the index.
    let page = "EXPLAIN (COSTS OFF) SELECT event_id FROM events WHERE tenant_id = 1 AND workspace_id = 1
        AND occurred_at <= '2026-11-23' AND (occurred_at < '2026-11-23' OR key < '00000000-0000-0000-0000-000000000001')
        AND event_name = 'e' ORDER BY occurred_at DESC, key DESC LIMIT 20";
    let plan = store.row_security.read(&store.readers, acme.tenant_id, |connection| {
        // The planner would read a table of three rows whole.
        connection
            .batch_execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")?;
        Ok(diesel::sql_query(page).load::<Line>(connection)?)
    });
    let plan: Vec<_> = plan.unwrap().into_iter().map(|line| line.plan).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("mercurio.tenant_id"), "the policy applies: {plan}");
    assert!(
        plan.contains("Index Cond: ((tenant_id = 1) AND (workspace_id = 1) AND (occurred_at <="),
        "{plan}"
    );
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
    plan: String,
}

/// The statements in docs/OPERATIONS.md that create a role without tables.
fn documented_role() -> String {
    let text = include_str!("../../../../../docs/OPERATIONS.md");
    let from = text.find("CREATE ROLE mercurio_server").unwrap();
    text[from..from + text[from..].find("```").unwrap()].to_owned()
}

#[test]
fn role_without_tables_writes_and_reads_under_row_security() {
    let database = TestDatabase::postgres();
    let tenants = tenants(&open(&database.url_text()));
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    let role = format!("server_{}", std::process::id());
    connection
        .batch_execute(&format!(
            "DROP ROLE IF EXISTS {role}; {}",
            documented_role().replace("mercurio_server", &role)
        ))
        .unwrap();
    // The test server trusts every role, so only the name changes.
    let store = open(&database.url_text().replace("postgres@", &format!("{role}@")));
    let now = at("2026-11-22T10:00:00Z");
    check(&store, tenants);
    // Results are checked after the role is dropped, or a failure would leave it in the cluster.
    let stored = store.append(&[submission(tenants[0], now, &["a", "d"])]);
    let summed = store.sum_counts();
    let again = store.append(&[submission(tenants[0], now, &["d", "e"])]);
    let summed_again = store.sum_counts();
    let used = store.usage(&[tenants[0].tenant_id], Month::of(now));
    let found = store.find_api_key(&provisioning("Acme", 4, now).0.key_id);
    let is_available = store.row_security.is_available(&store.readers);
    // Servers have nothing to do with what admins did.
    let audit_log = store.audit_log(None, 1);
    let recorded = store.record_rejections(&rejections(tenants[1]));
    let recorded_again = store.record_rejections(&rejections(tenants[1]));
    drop(store);
    connection.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    assert!(audit_log.is_err(), "{audit_log:?}");
    use mercurio_domain::verdict::Outcome::{Accepted, Duplicate};
    assert_eq!(stored.unwrap(), [[Duplicate, Accepted]]);
    assert_eq!(again.unwrap(), [[Duplicate, Accepted]]);
    assert_eq!((summed.unwrap(), summed_again.unwrap(), used.unwrap()), (3, 1, vec![5]));
    assert!(found.unwrap().is_some() && is_available.unwrap());
    assert!(recorded.is_ok() && recorded_again.is_ok(), "{recorded:?} {recorded_again:?}");
}

#[test]
fn row_security_granted_later_is_used_within_a_minute() {
    let database = TestDatabase::postgres();
    let tenants = tenants(&open(&database.url_text()));
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    let role = format!("late_{}", std::process::id());
    let statements = documented_role();
    let (of_reader, others): (Vec<&str>, Vec<&str>) = statements
        .split_inclusive(';')
        .partition(|statement| statement.contains("GRANT mercurio_reader"));
    let others = others.concat().replace("mercurio_server", &role);
    connection.batch_execute(&format!("DROP ROLE IF EXISTS {role}; {others}")).unwrap();
    let store = open(&database.url_text().replace("postgres@", &format!("{role}@")));
    let events = || count(&store, tenants[0].tenant_id, "events");
    let before = store.row_security.is_available(&store.readers);
    let events_before = events();
    connection.batch_execute(&of_reader.concat().replace("mercurio_server", &role)).unwrap();
    let soon = store.row_security.is_available(&store.readers);
    // Moves the last attempt into the past, instead of waiting a minute.
    *store.row_security.failed_at.lock().unwrap() = Instant::now().checked_sub(RETRY_INTERVAL);
    let later = store.row_security.is_available(&store.readers);
    let events_later = events();
    drop(store);
    connection.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    assert!(!before.unwrap());
    assert_eq!(events_before.unwrap(), 6, "without row security this query sees all tenants");
    assert!(!soon.unwrap());
    assert!(later.unwrap());
    assert_eq!(events_later.unwrap(), 3);
}

//! Wrong queries behind the wall, and the roles that a server may have.

use diesel::sql_types::BigInt;
use mercurio_domain::Owner;
use mercurio_domain::store::{Catalog, EventWriter, Store};
use mercurio_domain::testing::{at, provisioning, submission};

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
        owner
    })
}

/// What a query that names no tenant counts, as the reader of one.
fn count(store: &PostgresStore, tenant_id: TenantId, from: &str) -> Result<i64, Failed> {
    let count = diesel::dsl::sql::<BigInt>(&format!("count(*) FROM {from}"));
    store.wall.read(&store.readers, tenant_id, |connection| {
        Ok(diesel::select(count.clone()).get_result(connection)?)
    })
}

/// What a statement is refused with, as the reader of a tenant.
fn refusal(store: &PostgresStore, tenant_id: TenantId, statement: &str) -> String {
    let run = |connection: &mut PgConnection| Ok(connection.batch_execute(statement)?);
    store.wall.read(&store.readers, tenant_id, run).unwrap_err().reason
}

fn check(store: &PostgresStore, [acme, other]: [Owner; 2]) {
    assert!(store.wall.stands(&store.readers).unwrap());
    for tenant_id in [acme.tenant_id, other.tenant_id] {
        for from in ["events", "event_keys", "events WHERE tenant_id > 0 OR true"] {
            assert_eq!(count(store, tenant_id, from).unwrap(), 3, "{from}");
        }
        let strangers = format!("events WHERE tenant_id <> {tenant_id}");
        assert_eq!(count(store, tenant_id, &strangers).unwrap(), 0);
    }
    for nobody in [TenantId(0), TenantId(-1), TenantId(i64::MAX)] {
        assert_eq!(count(store, nobody, "events").unwrap(), 0);
    }
    for statement in [
        "SELECT FROM events_20261122",
        "SELECT FROM api_keys",
        "SELECT FROM tenants",
        "SELECT FROM workspaces",
        "SELECT FROM tenant_limits",
        "SELECT FROM tenant_usage",
    ] {
        let told = refusal(store, acme.tenant_id, statement);
        assert!(told.contains("permission denied"), "{statement}: {told}");
    }
    for statement in
        ["DELETE FROM events", "UPDATE events SET tenant_id = 1", "DELETE FROM event_keys"]
    {
        let told = refusal(store, acme.tenant_id, statement);
        assert!(
            told.contains("permission denied") || told.contains("read-only"),
            "{statement}: {told}"
        );
    }
    // The right questions are answered as ever, and so is a pool whose connections were others' before.
    for owner in [acme, other, acme] {
        assert_eq!(store.events(owner, &Default::default()).unwrap().events.len(), 3);
        let mixed = Owner { workspace_id: acme.workspace_id, tenant_id: other.tenant_id };
        assert!(store.events(mixed, &Default::default()).unwrap().events.is_empty());
    }
}

#[test]
fn a_query_that_forgets_its_tenant_sees_no_others_rows() {
    let database = TestDatabase::postgres();
    let store = open(&database.url_text());
    let tenants = tenants(&store);
    check(&store, tenants);
}

#[test]
fn the_policies_alone_hold_for_every_table_with_a_tenant() {
    let database = TestDatabase::postgres();
    let store = open(&database.url_text());
    let [acme, _] = tenants(&store);
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    let role = format!("wall_{}", std::process::id());
    connection
        .batch_execute(&format!(
            "DROP ROLE IF EXISTS {role}; CREATE ROLE {role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
             INSERT INTO tenant_limits SELECT id, 'events_burst', 5 FROM tenants;
             INSERT INTO tenant_deletions SELECT id, 5, 5 FROM tenants;
             INSERT INTO tenant_usage SELECT id, 202611, 0, 5, 5 FROM tenants;
             INSERT INTO quota_writers (owner, epoch, seen_at) VALUES (gen_random_uuid(), 1, now());
             INSERT INTO event_keys VALUES (0, gen_random_uuid(), 0, now(), now(), '{{202611,1,5}}')"
        ))
        .unwrap();
    let mut counts = Vec::new();
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
            "tenant_deletions",
            "event_keys",
            "events",
            // Of no tenant: nobody sees them. Nor does anybody see groups' keys.
            "quota_writers",
        ] {
            let count = diesel::dsl::sql::<BigInt>(&format!("count(*) FROM {table}"));
            counts.push(diesel::select(count).get_result::<i64>(&mut connection).unwrap());
        }
        if tenant.is_some() {
            // Nor can it write a row of another.
            let foreign = "INSERT INTO tenant_limits SELECT 2, 'requests_burst', 5";
            let told = connection.batch_execute(foreign).unwrap_err().to_string();
            assert!(told.contains("row-level security"), "{told}");
        }
        connection.batch_execute("ROLLBACK").unwrap();
    }
    connection.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    assert_eq!(counts, [[0; 9], [1, 1, 1, 1, 1, 1, 3, 3, 0]].concat());
}

#[test]
fn behind_the_wall_a_page_still_goes_down_the_index_of_time() {
    let database = TestDatabase::postgres();
    let store = open(&database.url_text());
    let [acme, _] = tenants(&store);
    let page = "EXPLAIN (COSTS OFF) SELECT event_id FROM events WHERE tenant_id = 1 AND workspace_id = 1
        AND occurred_at <= '2026-11-23' AND (occurred_at < '2026-11-23' OR key < '00000000-0000-0000-0000-000000000001')
        AND event_name = 'e' ORDER BY occurred_at DESC, key DESC LIMIT 20";
    let plan = store.wall.read(&store.readers, acme.tenant_id, |connection| {
        // A table of three rows is read whole, if it may be.
        connection
            .batch_execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")?;
        Ok(diesel::sql_query(page).load::<Line>(connection)?)
    });
    let plan: Vec<_> = plan.unwrap().into_iter().map(|line| line.plan).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("mercurio.tenant_id"), "the policy is there: {plan}");
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

/// The statements of docs/OPERATIONS.md for a server that owns nothing.
fn role_of_operations() -> String {
    let text = include_str!("../../../../../docs/OPERATIONS.md");
    let from = text.find("CREATE ROLE mercurio_server").unwrap();
    text[from..from + text[from..].find("```").unwrap()].to_owned()
}

#[test]
fn a_server_that_owns_nothing_writes_and_stands_behind_the_wall() {
    let database = TestDatabase::postgres();
    let tenants = tenants(&open(&database.url_text()));
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    let role = format!("server_{}", std::process::id());
    connection
        .batch_execute(&format!(
            "DROP ROLE IF EXISTS {role}; {}",
            role_of_operations().replace("mercurio_server", &role)
        ))
        .unwrap();
    let store = open(&database.url_text().replace("postgres@", &format!("{role}@")));
    let now = at("2026-11-22T10:00:00Z");
    let limited = |ids: &[&str]| mercurio_domain::store::Submission {
        monthly_events: 5,
        ..submission(tenants[0], now, ids)
    };
    let stored = store.append(&[submission(tenants[0], now, &["a", "b"])]);
    let refused = store.append(&[limited(&["d", "e", "f"])]);
    let found = store.find_api_key(&provisioning("Acme", 4, now).0.key_id);
    check(&store, tenants);
    let stands = store.wall.stands(&store.readers);
    drop(store);
    connection.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    use mercurio_domain::verdict::Outcome::Duplicate;
    assert_eq!(stored.unwrap(), [Ok(vec![Duplicate, Duplicate])]);
    assert_eq!(refused.unwrap().remove(0).unwrap_err().used, 3);
    assert!(found.unwrap().is_some() && stands.unwrap());
}

#[test]
fn a_wall_that_is_built_while_the_server_runs_is_found_within_a_minute() {
    let database = TestDatabase::postgres();
    let tenants = tenants(&open(&database.url_text()));
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    let role = format!("late_{}", std::process::id());
    let statements = role_of_operations();
    let (of_reader, others): (Vec<&str>, Vec<&str>) = statements
        .split_inclusive(';')
        .partition(|statement| statement.contains("GRANT mercurio_reader"));
    let others = others.concat().replace("mercurio_server", &role);
    connection.batch_execute(&format!("DROP ROLE IF EXISTS {role}; {others}")).unwrap();
    let store = open(&database.url_text().replace("postgres@", &format!("{role}@")));
    let without =
        (store.wall.stands(&store.readers), count(&store, tenants[0].tenant_id, "events"));
    connection.batch_execute(&of_reader.concat().replace("mercurio_server", &role)).unwrap();
    let soon = store.wall.stands(&store.readers);
    *store.wall.missed.lock().unwrap() = Instant::now().checked_sub(LOOK_AGAIN);
    let later = (store.wall.stands(&store.readers), count(&store, tenants[0].tenant_id, "events"));
    drop(store);
    connection.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    assert_eq!(
        (without.0.unwrap(), without.1.unwrap()),
        (false, 6),
        "the code's wall alone: this query forgets the tenant"
    );
    assert!(!soon.unwrap());
    assert_eq!((later.0.unwrap(), later.1.unwrap()), (true, 3));
}

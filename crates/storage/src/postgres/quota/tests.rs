//! How a writer reserves, counts and adds up.

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::sql_types::{BigInt, Bool};
use mercurio_domain::store::{Appended, Removal, Store, Submission};
use mercurio_domain::testing::{at, submission};
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{Owner, WorkspaceId};

use super::super::schema::{events, quota_writers, tenant_usage};
use super::writer::Series;
use super::*;
use crate::testing::TestDatabase;

const OWNER: Owner = Owner { tenant_id: TenantId(1), workspace_id: WorkspaceId(1) };

fn now() -> mercurio_domain::Timestamp {
    at("2026-11-22T10:00:00Z")
}

fn append(store: &dyn Store, monthly_events: u64, ids: &[String]) -> Appended {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    store
        .append(&[Submission { monthly_events, ..submission(OWNER, now(), &ids) }])
        .unwrap()
        .remove(0)
}

fn ids(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name} {number}")).collect()
}

fn usage(store: &dyn Store) -> u64 {
    store.monthly_usage(OWNER.tenant_id, Month::of(now())).unwrap()
}

/// `(writer, share, used)` of the tenant's rows, in their order.
fn rows(connection: &mut PgConnection) -> Vec<(i64, i64, i64)> {
    use tenant_usage::{share, table, tenant_id, used, writer_id};
    table
        .filter(tenant_id.eq(1))
        .order(writer_id)
        .select((writer_id, share, used))
        .load(connection)
        .unwrap()
}

/// The groups' keys that count something and are not added up.
fn logged(connection: &mut PgConnection) -> i64 {
    diesel::select(sql::<BigInt>("(SELECT count(*) FROM event_keys WHERE counted IS NOT NULL)"))
        .get_result(connection)
        .unwrap()
}

/// Where writer 1 or another one is, as the database says.
fn series(connection: &mut PgConnection, writer_id: i64) -> Series {
    let epoch = quota_writers::table.find(writer_id).select(quota_writers::epoch);
    Series { writer_id, epoch: epoch.first(connection).unwrap() }
}

/// Begins a transaction that stores the group of that number of the writer, with these counts.
fn store_without_commit(connection: &mut PgConnection, series: Series, number: u16, counted: &str) {
    let key = series.key(number, 0);
    let insert =
        format!("INSERT INTO event_keys VALUES (0, '{key}', 0, now(), now(), '{counted}')");
    connection.batch_execute(&format!("BEGIN; {insert}")).unwrap();
}

fn connect(database: &TestDatabase) -> PgConnection {
    PgConnection::establish(&database.url_text()).unwrap()
}

mod beside;
mod called;

#[test]
fn a_writer_reserves_a_part_and_then_counts_a_group_in_one_row_without_any_lock_of_the_account() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    let (mut other, mut watcher) = (connect(&database), connect(&database));
    assert_eq!(rows(&mut watcher), [(0, 0, 0), (1, 250, 0)], "a quarter of what is left");
    // Whoever wanted a lock of the account now would wait for ever.
    other.batch_execute("BEGIN; SELECT FROM tenant_usage FOR UPDATE").unwrap();
    append(&*store, 1_000, &ids("second", 240)).unwrap();
    assert_eq!((logged(&mut watcher), usage(&*store)), (2, 250));
    assert_eq!(rows(&mut watcher), [(0, 0, 0), (1, 250, 0)]);
    other.batch_execute("ROLLBACK").unwrap();
    append(&*store, 1_000, &ids("third", 1)).unwrap();
    assert_eq!(rows(&mut watcher), [(0, 0, 0), (1, 437, 0)], "a quarter of what is left then");
    assert_eq!((usage(&*store), store.append_counts().fallbacks), (251, 0));
}

#[test]
fn two_writers_have_a_reservation_each_and_neither_waits_for_the_other() {
    let database = TestDatabase::postgres();
    let (store, another) = (database.store(), database.another_store());
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    append(&*another, 1_000, &ids("second", 10)).unwrap();
    let (mut other, mut watcher) = (connect(&database), connect(&database));
    assert_eq!(rows(&mut watcher), [(0, 0, 0), (1, 250, 0), (2, 150, 0)]);
    // As a writer does that has counted and not committed yet.
    let second = series(&mut watcher, 2);
    store_without_commit(&mut other, second, 1, "{202611,1,5}");
    append(&*store, 1_000, &ids("third", 240)).unwrap();
    assert_eq!(
        (usage(&*store), store.append_counts().fallbacks, logged(&mut watcher)),
        (260, 0, 3)
    );
    other.batch_execute("ROLLBACK").unwrap();
}

#[test]
fn what_a_thousand_groups_have_counted_is_added_up() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let mut watcher = connect(&database);
    for round in 0..1_001 {
        append(&*store, 1_000_000, &ids(&round.to_string(), 1)).unwrap();
    }
    assert_eq!((logged(&mut watcher), usage(&*store)), (1, 1_001));
    assert_eq!(rows(&mut watcher), [(0, 0, 0), (1, 250_000, 1_000)]);
    // Also of those whose reservation was another one meanwhile.
    append(&*store, 1_000_000, &ids("many", 249_500)).unwrap();
    for round in 0..1_000 {
        append(&*store, 1_000_000, &ids(&format!("again {round}"), 1)).unwrap();
    }
    assert_eq!((logged(&mut watcher), usage(&*store)), (2, 251_501));
    assert_eq!(rows(&mut watcher)[1].2, 251_499);
}

#[test]
fn a_group_that_fails_has_counted_nothing_and_leaves_what_is_reserved() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    let mut watcher = connect(&database);
    watcher.batch_execute("ALTER TABLE events RENAME TO hidden").unwrap();
    let group = |name: &str| {
        let ids = ids(name, 5);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        [Submission { monthly_events: 1_000, ..submission(OWNER, now(), &ids) }]
    };
    store.append(&group("second")).unwrap_err();
    watcher.batch_execute("ALTER TABLE hidden RENAME TO events").unwrap();
    assert_eq!(usage(&*store), 10);
    store.append(&group("third")).unwrap();
    assert_eq!(usage(&*store), 15);
    assert_eq!(rows(&mut watcher)[1].1, 250, "what was reserved first was enough");
}

#[test]
fn a_group_on_both_sides_of_a_month_counts_in_both_from_what_is_reserved() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let december = at("2026-12-01T00:00:00Z");
    let group = |name: &str| {
        let (old, new) = (ids(&format!("{name} old"), 3), ids(&format!("{name} new"), 4));
        let of = |received_at, ids: &[String]| {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            Submission { monthly_events: 1_000, ..submission(OWNER, received_at, &ids) }
        };
        [of(now(), &old), of(december, &new)]
    };
    store.append(&group("first")).unwrap();
    store.append(&group("second")).unwrap();
    assert_eq!(logged(&mut connect(&database)), 4);
    assert_eq!(usage(&*store), 6);
    assert_eq!(store.monthly_usage(OWNER.tenant_id, Month::of(december)).unwrap(), 8);
}

#[test]
fn what_may_have_been_seen_before_is_counted_last_and_only_as_far_as_it_is_new() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let first = ids("first", 10);
    append(&*store, 1_000, &first).unwrap();
    // Five that are suspected, and five that are certain.
    let mixed = [&first[5..], &ids("second", 5)[..]].concat();
    let outcomes = append(&*store, 1_000, &mixed).unwrap();
    assert_eq!(outcomes, [vec![Outcome::Duplicate; 5], vec![Outcome::Accepted; 5]].concat());
    // All are suspected, and gone.
    let mut connection = connect(&database);
    connection
        .batch_execute("DELETE FROM event_keys WHERE tenant_id > 0; DELETE FROM events")
        .unwrap();
    append(&*store, 1_000, &first).unwrap();
    assert_eq!((usage(&*store), store.append_counts().fallbacks), (25, 0));
    // Another server copies what it has never seen, fails, and claims.
    let another = database.another_store();
    append(&*another, 1_000, &first).unwrap();
    append(&*another, 1_000, &[&first[..], &ids("third", 5)[..]].concat()).unwrap();
    assert_eq!((usage(&*store), another.append_counts().fallbacks), (30, 1));
}

#[test]
fn connections_that_are_older_than_the_schema_count_too() {
    let database = TestDatabase::empty_postgres();
    let store = database.store();
    store.probe().unwrap();
    database.another_store().migrate().unwrap();
    append(&*store, 100, &ids("first", 3)).unwrap();
    let fallbacks = store.append_counts().fallbacks;
    append(&*store, 100, &ids("second", 4)).unwrap();
    assert_eq!(store.append_counts().fallbacks, fallbacks);
    assert_eq!(usage(&*store), 7);
}

#[test]
fn a_server_that_meets_duplicates_where_nothing_is_left_takes_no_lock_the_second_time() {
    let database = TestDatabase::postgres();
    let (store, another) = (database.store(), database.another_store());
    let (first, second) = (ids("first", 10), ids("second", 10));
    append(&*store, 20, &first).unwrap();
    append(&*store, 20, &second).unwrap();
    let duplicates = Ok(vec![Outcome::Duplicate; 10]);
    assert_eq!(append(&*another, 20, &first), duplicates);
    let mut other = connect(&database);
    // Whoever wanted a lock now would wait for ever.
    other.batch_execute("BEGIN; SELECT FROM tenant_usage FOR UPDATE").unwrap();
    assert_eq!(append(&*another, 20, &second), duplicates);
}

#[test]
fn a_tenant_that_is_over_its_quota_takes_no_lock_and_costs_its_group_no_second_try() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 10, &ids("first", 10)).unwrap();
    append(&*store, 10, &ids("second", 1)).unwrap_err();
    let fallbacks = store.append_counts().fallbacks;
    let mut other = connect(&database);
    // Whoever wanted a lock now would wait for ever.
    other.batch_execute("BEGIN; SELECT FROM tenant_usage FOR UPDATE").unwrap();
    for _ in 0..3 {
        append(&*store, 10, &ids("third", 5)).unwrap_err();
        append(&*store, 10, &ids("first", 10)).unwrap();
    }
    assert_eq!(store.append_counts().fallbacks, fallbacks);
}

#[test]
fn an_account_that_was_too_scarce_for_a_large_group_is_reserved_again_for_small_ones() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 1_000, &ids("first", 400)).unwrap();
    let mut watcher = connect(&database);
    assert_eq!(rows(&mut watcher), [(0, 400, 400), (1, 0, 0)], "a quarter was too little");
    append(&*store, 1_000, &ids("second", 10)).unwrap();
    assert_eq!(rows(&mut watcher), [(0, 400, 400), (1, 150, 0)]);
    assert_eq!((usage(&*store), store.append_counts().fallbacks), (410, 0));
}

#[test]
fn what_is_left_to_an_account_that_was_found_short_is_stored() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 20, &ids("first", 10)).unwrap();
    append(&*store, 20, &ids("second", 11)).unwrap_err();
    append(&*store, 20, &ids("second", 10)).unwrap();
    append(&*store, 20, &ids("third", 1)).unwrap_err();
    assert_eq!(append(&*store, 20, &ids("second", 10)), Ok(vec![Outcome::Duplicate; 10]));
    assert_eq!(usage(&*store), 20);
}

#[test]
fn rows_are_found_by_the_index_however_many_tenants_there_are() {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
        plan: String,
    }
    let database = TestDatabase::postgres();
    let mut connection = connect(&database);
    let many = "INSERT INTO tenant_usage SELECT n, 202611, writer, 100, 50 FROM generate_series(1, 50000) n, generate_series(0, 2) writer;
         INSERT INTO event_keys SELECT n % 100 + 1, md5(n::text)::uuid, 1, now(), now() FROM generate_series(1, 50000) n;
         INSERT INTO event_keys SELECT 0, md5(n::text)::uuid, 0, now(), now(), '{202611,1,1}' FROM generate_series(1, 1000) n;
         ANALYZE tenant_usage; ANALYZE event_keys";
    connection.batch_execute(many).unwrap();
    connection.batch_execute(super::super::driver::WRITER_SETTINGS).unwrap();
    let (tenant_ids, months) = (vec![1, 2], vec![202_611, 202_611]);
    let two = ("(bigint[], bigint[])", "('{1,2}', '{202611,202611}')");
    let (first, last) = Series { writer_id: 1, epoch: 7 }.keys();
    let groups = format!("('{first}', '{last}', true, 1)");
    let text = |debug: String| debug.split(" -- binds").next().unwrap_or_default().to_owned();
    let lock = rows::Lock { tenant_ids: tenant_ids.clone(), months: months.clone() };
    let read = rows::Read { tenant_ids: tenant_ids.clone(), months: months.clone() };
    let take_back = rows::TakeBack { tenant_ids, months };
    let three = (
        "(uuid, uuid, bigint[], bigint[], bigint[], bigint)",
        format!("('{first}', '{last}', '{{1}}', '{{202611}}', '{{5}}', 1)"),
    );
    let settle = keys::Settle {
        first,
        last,
        tenant_ids: vec![1],
        months: vec![202_611],
        rests: vec![5],
        writer_id: 1,
    };
    let add_up = keys::AddUp { first, last, with_fences: true, writer_id: 1 };
    for (statement, (types, arguments)) in [
        (text(diesel::debug_query::<Pg, _>(&lock).to_string()), two),
        (text(diesel::debug_query::<Pg, _>(&read).to_string()), two),
        (text(diesel::debug_query::<Pg, _>(&take_back).to_string()), two),
        (rows::USED.to_owned(), ("(bigint, bigint)", "(1, 202611)")),
        (text(diesel::debug_query::<Pg, _>(&settle).to_string()), (three.0, &three.1)),
        (
            text(diesel::debug_query::<Pg, _>(&add_up).to_string()),
            ("(uuid, uuid, boolean, bigint)", &groups),
        ),
    ] {
        connection.batch_execute(&format!("PREPARE looked_at {types} AS {statement}")).unwrap();
        let explain = format!("EXPLAIN (COSTS OFF) EXECUTE looked_at {arguments}");
        let lines = diesel::sql_query(explain).load::<Line>(&mut connection).unwrap();
        let plan: Vec<String> = lines.into_iter().map(|line| line.plan).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("using tenant_usage_pkey on tenant_usage"), "{plan}");
        assert!(
            !plan.contains("Seq Scan on tenant_usage") && !plan.contains("Seq Scan on event_keys"),
            "{plan}"
        );
        assert_eq!(plan.contains("event_keys"), plan.contains("event_keys_pkey"), "{plan}");
        connection.batch_execute("DEALLOCATE looked_at").unwrap();
    }
}

#[test]
fn retention_takes_no_key_of_a_group_and_so_nothing_that_was_counted() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    let which = Removal::Received { tenant_id: None, before: at("2027-06-01T00:00:00Z") };
    let (mut from, mut keys) = (None, 0);
    loop {
        let removed = store.remove_events(&which, now(), from.as_ref()).unwrap();
        keys += removed.keys;
        from = removed.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!((keys, logged(&mut connect(&database)), usage(&*store)), (10, 1, 10));
}

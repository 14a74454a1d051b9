//! How writers reserve and count: beside each other, called in, dead, and taken over.

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::sql_types::BigInt;
use mercurio_domain::store::{Appended, Store, Submission};
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
    store.append(&[Submission { monthly_events, ..submission(OWNER, now(), &ids) }]).unwrap().remove(0)
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
    table.filter(tenant_id.eq(1)).order(writer_id).select((writer_id, share, used)).load(connection).unwrap()
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
    let insert = format!("INSERT INTO event_keys VALUES (0, '{key}', 0, now(), now(), '{counted}')");
    connection.batch_execute(&format!("BEGIN; {insert}")).unwrap();
}

/// How many wait for a lock.
fn waits() -> diesel::expression::SqlLiteral<BigInt> {
    sql("count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
}

fn connect(database: &TestDatabase) -> PgConnection {
    PgConnection::establish(&database.url_text()).unwrap()
}

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
    assert_eq!((usage(&*store), store.append_counts().fallbacks, logged(&mut watcher)), (260, 0, 3));
    other.batch_execute("ROLLBACK").unwrap();
}

#[test]
fn what_is_reserved_for_others_is_taken_back_before_anything_is_refused() {
    let database = TestDatabase::postgres();
    let (store, another) = (database.store(), database.another_store());
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    append(&*another, 1_000, &ids("second", 10)).unwrap();
    let mut watcher = connect(&database);
    // 980 are left: 240 are reserved for the first writer and 140 for the second one.
    append(&*another, 1_000, &ids("third", 980)).unwrap();
    let told = rows(&mut watcher);
    assert_eq!(told, [(0, 980, 980), (1, 10, 10), (2, 10, 10)]);
    // The first one finds that it has nothing any more.
    let refused = append(&*store, 1_000, &ids("fourth", 1)).unwrap_err();
    assert_eq!((refused.used, usage(&*store), logged(&mut watcher)), (1_000, 1_000, 0));
    assert_eq!(append(&*store, 1_000, &ids("first", 10)), Ok(vec![Outcome::Duplicate; 10]));
}

#[test]
fn a_writer_that_was_called_looks_and_goes_on_with_what_it_has_of_others() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let of = |tenant: i64, name: &str, count: usize| {
        let owner = Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(tenant) };
        let ids = ids(name, count);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        Submission { monthly_events: 1_000, ..submission(owner, now(), &ids) }
    };
    store.append(&[of(1, "first", 10), of(2, "first", 20), of(3, "first", 30)]).unwrap();
    let another = database.another_store();
    assert!(append(&*another, 1_000, &ids("all", 990)).is_ok());
    let fallbacks = store.append_counts().fallbacks;
    let answers = store.append(&[of(1, "second", 1), of(2, "second", 1), of(3, "second", 1)]).unwrap();
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(store.append_counts().fallbacks - fallbacks, 1, "it finds out by failing once");
    let month = Month::of(now());
    let used = |tenant| store.monthly_usage(TenantId(tenant), month).unwrap();
    assert_eq!([used(1), used(2), used(3)], [1_000, 21, 31]);
    let answers = store.append(&[of(1, "third", 1), of(2, "third", 1), of(3, "third", 1)]).unwrap();
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(store.append_counts().fallbacks - fallbacks, 1);
    assert_eq!([used(1), used(2), used(3)], [1_000, 22, 32]);
}

#[test]
fn whoever_takes_back_waits_for_the_group_that_is_being_stored_and_counts_it() {
    let database = TestDatabase::postgres();
    // Whatever somebody has set: a statement must see what was committed before it.
    let set = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database()); END $$";
    connect(&database).batch_execute(set).unwrap();
    let (store, another) = (database.store(), database.another_store());
    append(&*store, 100, &ids("first", 10)).unwrap();
    let (mut first, mut watcher) = (connect(&database), connect(&database));
    // The first writer has counted five more and has not committed yet.
    let of_first = series(&mut watcher, 1);
    store_without_commit(&mut first, of_first, 1, "{202611,7,3,1,5}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| append(&*another, 100, &ids("second", 86)));
        while diesel::select(waits()).get_result::<i64>(&mut watcher).unwrap() == 0 {
            std::thread::yield_now();
        }
        first.batch_execute("COMMIT").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap_err().used, 15);
    });
    append(&*another, 100, &ids("third", 85)).unwrap();
    append(&*another, 100, &ids("fourth", 1)).unwrap_err();
    assert_eq!(usage(&*store), 100);
}

#[test]
fn what_a_writer_that_is_gone_had_reserved_is_not_lost() {
    let database = TestDatabase::postgres();
    append(&*database.store(), 1_000, &ids("first", 10)).unwrap();
    // It had 240 more. Nobody says that it is gone, nor has it been silent for long.
    let store = database.another_store();
    append(&*store, 1_000, &ids("second", 989)).unwrap();
    append(&*store, 1_000, &ids("third", 2)).unwrap_err();
    append(&*store, 1_000, &ids("fourth", 1)).unwrap();
    assert_eq!(usage(&*store), 1_000);
}

#[test]
fn a_writer_that_was_long_silent_is_taken_over_and_if_it_lives_begins_as_another() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    let mut watcher = connect(&database);
    watcher.batch_execute("UPDATE quota_writers SET seen_at = now() - interval '6 minutes'").unwrap();
    let another = database.another_store();
    append(&*another, 1_000, &ids("second", 10)).unwrap();
    assert_eq!(rows(&mut watcher), [(0, 0, 0), (1, 250, 10)], "with what was reserved for it");
    append(&*store, 1_000, &ids("third", 10)).unwrap();
    assert_eq!(rows(&mut watcher).len(), 3);
    append(&*another, 1_000, &ids("fourth", 10)).unwrap();
    append(&*store, 1_000, &ids("fifth", 10)).unwrap();
    assert_eq!((usage(&*store), store.append_counts().fallbacks, another.append_counts().fallbacks), (50, 1, 0));
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
    connection.batch_execute("DELETE FROM event_keys WHERE tenant_id > 0; DELETE FROM events").unwrap();
    append(&*store, 1_000, &first).unwrap();
    assert_eq!((usage(&*store), store.append_counts().fallbacks), (25, 0));
    // Another server copies what it has never seen, fails, and claims.
    let another = database.another_store();
    append(&*another, 1_000, &first).unwrap();
    append(&*another, 1_000, &[&first[..], &ids("third", 5)[..]].concat()).unwrap();
    assert_eq!((usage(&*store), another.append_counts().fallbacks), (30, 1));
}

#[test]
fn writers_that_call_each_other_in_all_the_time_lose_and_invent_nothing() {
    const QUOTA: u64 = 100_000;
    let database = TestDatabase::postgres();
    let stores = [database.store(), database.another_store(), database.another_store()];
    std::thread::scope(|scope| {
        for lane in 0..6 {
            let store = &stores[lane % 3];
            scope.spawn(move || {
                for round in 0..60 {
                    append(&**store, QUOTA, &ids(&format!("{lane} {round}"), 3)).unwrap();
                }
            });
        }
        scope.spawn(|| {
            let mut connection = connect(&database);
            for writer in (1..=6).cycle().take(240) {
                connection.transaction(|connection| reserve::call(connection, writer)).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
    });
    assert_eq!(usage(&*stores[0]), 6 * 60 * 3);
    let shares: i64 = rows(&mut connect(&database)).iter().map(|row| row.1).sum();
    assert!(shares <= QUOTA as i64, "{shares}");
}

#[test]
fn a_quota_that_is_taken_away_and_set_again_counts_anew_also_for_a_writer_that_had_reserved() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let (provisioning, _) = mercurio_domain::testing::provisioning("acme", 1, now());
    let owner = store.provision(&provisioning).unwrap().api_key.owner;
    assert_eq!(owner.tenant_id, OWNER.tenant_id);
    let set = |value| {
        let name = mercurio_domain::limits::LimitName::MonthlyEvents;
        database.another_store().set_limits(owner.tenant_id, &[(name, value)]).unwrap()
    };
    set(Some(1_000));
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    set(None);
    append(&*store, 0, &ids("second", 900)).unwrap();
    set(Some(1_000));
    // 240 were reserved for it, and 90 are left.
    assert_eq!(append(&*store, 1_000, &ids("third", 91)).unwrap_err().used, 910);
    append(&*store, 1_000, &ids("fourth", 90)).unwrap();
    assert_eq!(usage(&*store), 1_000);
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
fn writers_beside_each_other_try_nothing_twice() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 1_000_000, &ids("first", 1)).unwrap();
    let fallbacks = store.append_counts().fallbacks;
    std::thread::scope(|scope| {
        for lane in 0..2 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..300 {
                    append(&**store, 1_000_000, &ids(&format!("{lane} {round}"), 2)).unwrap();
                }
            });
        }
    });
    assert_eq!(store.append_counts().fallbacks, fallbacks);
    assert_eq!(usage(&*store), 1_201);
}

#[test]
fn several_stores_with_several_lanes_count_exactly_what_they_store() {
    const QUOTA: u64 = 5_000;
    let database = TestDatabase::postgres();
    let stores = [database.store(), database.another_store()];
    let accepted: u64 = std::thread::scope(|scope| {
        let write = |lane: usize| {
            let store = &stores[lane % 2];
            move || {
                let (mut accepted, mut size) = (0, 100);
                for round in 0.. {
                    // Half of each batch comes from a neighbour too, on the other server.
                    let mut ids = ids(&format!("{} {round}", lane / 2), size / 2);
                    ids.extend(self::ids(&format!("{lane} {round} own"), size - size / 2));
                    match append(&**store, QUOTA, &ids) {
                        Ok(outcomes) => {
                            let is_accepted = |outcome: &&_| **outcome == Outcome::Accepted;
                            accepted += outcomes.iter().filter(is_accepted).count() as u64;
                        }
                        Err(exceeded) if size == 1 => {
                            assert_eq!(exceeded.used, QUOTA);
                            break;
                        }
                        Err(_) => size = (size / 2).max(1),
                    }
                }
                accepted
            }
        };
        let lanes: Vec<_> = (0..8).map(|lane| scope.spawn(write(lane))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
    });
    let mut connection = connect(&database);
    let stored: i64 = events::table.count().get_result(&mut connection).unwrap();
    assert_eq!((accepted, stored, usage(&*stores[0])), (QUOTA, QUOTA as i64, QUOTA));
}

#[test]
fn groups_of_several_tenants_fill_the_quotas_of_all_exactly_and_in_the_end_wait_for_nobody() {
    const QUOTA: u64 = 1_500;
    const TENANTS: i64 = 5;
    let database = TestDatabase::postgres();
    let stores = [database.store(), database.another_store()];
    let accepted: Vec<u64> = std::thread::scope(|scope| {
        let write = |lane: usize| {
            let store = &stores[lane % 2];
            move || {
                let mut accepted = vec![0; TENANTS as usize];
                for round in 0.. {
                    // Smaller and smaller ones, in an order of tenants that differs from lane to lane.
                    let size = (60 >> (round / 8).min(6)).max(1);
                    let tenant_of = |place: i64| (place * (lane as i64 % 4 + 1) + round as i64) % TENANTS;
                    let of = |place: i64| {
                        let id = tenant_of(place) + 1;
                        let owner = Owner { tenant_id: TenantId(id), workspace_id: WorkspaceId(id) };
                        let ids = ids(&format!("{lane} {round} {place}"), size);
                        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                        Submission { monthly_events: QUOTA, ..submission(owner, now(), &ids) }
                    };
                    let group: Vec<Submission> = (0..3).map(of).collect();
                    let answers = store.append(&group).unwrap();
                    for (place, answer) in (0..3).zip(&answers) {
                        accepted[tenant_of(place) as usize] +=
                            answer.as_ref().map_or(0, |outcomes| outcomes.len() as u64);
                    }
                    if size == 1 && answers.iter().all(|answer| matches!(answer, Err(full) if full.used == QUOTA)) {
                        break;
                    }
                }
                accepted
            }
        };
        let lanes: Vec<_> = (0..6).map(|lane| scope.spawn(write(lane))).collect();
        let lanes: Vec<Vec<u64>> = lanes.into_iter().map(|lane| lane.join().unwrap()).collect();
        (0..TENANTS as usize).map(|tenant| lanes.iter().map(|lane| lane[tenant]).sum()).collect()
    });
    let mut connection = connect(&database);
    let stored: Vec<i64> = events::table
        .group_by(events::tenant_id)
        .select(diesel::dsl::count_star())
        .order(events::tenant_id)
        .load(&mut connection)
        .unwrap();
    let used = |id| stores[0].monthly_usage(TenantId(id), Month::of(now())).unwrap();
    let used: u64 = (1..=TENANTS).map(used).sum();
    assert!(accepted.iter().all(|accepted| *accepted <= QUOTA), "{accepted:?}");
    assert_eq!(accepted.iter().map(|accepted| *accepted as i64).collect::<Vec<_>>(), stored);
    assert_eq!(used as i64, stored.iter().sum::<i64>());
    assert!(stored.iter().filter(|stored| **stored == QUOTA as i64).count() >= 3, "{stored:?}");
}

#[test]
fn a_database_that_lost_what_was_reserved_still_counts_what_it_stores() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    // As a standby that takes over and never got the last things that were committed.
    let mut connection = connect(&database);
    let lose = "UPDATE tenant_usage SET share = 0; DELETE FROM event_keys; DELETE FROM events";
    connection.batch_execute(lose).unwrap();
    append(&*store, 1_000, &ids("second", 20)).unwrap();
    assert_eq!(usage(&*store), 0, "nothing is open");
    // Its connections lead to the new server: it looks, and finds what it counted there.
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    connection.batch_execute(others).unwrap();
    append(&*store, 1_000, &ids("third", 30)).unwrap();
    assert_eq!(usage(&*store), 50);
    assert_eq!(rows(&mut connection)[1], (1, 265, 20), "a quarter of 980, and what was counted");
}

#[test]
fn a_connection_that_is_new_makes_its_writer_look_before_it_counts() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    let mut connection = connect(&database);
    // As on a server that lost them.
    connection
        .batch_execute("DELETE FROM tenant_usage WHERE writer_id > 0; DELETE FROM event_keys WHERE tenant_id = 0")
        .unwrap();
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    connection.batch_execute(others).unwrap();
    append(&*store, 1_000, &ids("second", 20)).unwrap();
    assert_eq!((usage(&*store), rows(&mut connection).last().map(|row| row.1)), (20, Some(250)));
}

#[test]
fn a_writer_whose_server_is_cut_off_within_a_transaction_holds_others_up_for_seconds() {
    let database = TestDatabase::postgres();
    let (store, another) = (database.store(), database.another_store());
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    let mut cut_off = connect(&database);
    cut_off.batch_execute(super::super::WRITER).unwrap();
    let of_first = series(&mut cut_off, 1);
    store_without_commit(&mut cut_off, of_first, 1, "{202611,1,5}");
    append(&*another, 1_000, &ids("second", 990)).unwrap();
    assert_eq!(usage(&*another), 1_000);
    assert!(cut_off.batch_execute("COMMIT").is_err());
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
    connection.batch_execute(super::super::WRITER).unwrap();
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
    let settle = keys::Settle { first, last, tenant_ids: vec![1], months: vec![202_611], rests: vec![5], writer_id: 1 };
    let add_up = keys::AddUp { first, last, with_fences: true, writer_id: 1 };
    for (statement, (types, arguments)) in [
        (text(diesel::debug_query::<Pg, _>(&lock).to_string()), two),
        (text(diesel::debug_query::<Pg, _>(&read).to_string()), two),
        (text(diesel::debug_query::<Pg, _>(&take_back).to_string()), two),
        (rows::USED.to_owned(), ("(bigint, bigint)", "(1, 202611)")),
        (text(diesel::debug_query::<Pg, _>(&settle).to_string()), (three.0, &three.1)),
        (text(diesel::debug_query::<Pg, _>(&add_up).to_string()), ("(uuid, uuid, boolean, bigint)", &groups)),
    ] {
        connection.batch_execute(&format!("PREPARE looked_at {types} AS {statement}")).unwrap();
        let explain = format!("EXPLAIN (COSTS OFF) EXECUTE looked_at {arguments}");
        let lines = diesel::sql_query(explain).load::<Line>(&mut connection).unwrap();
        let plan: Vec<String> = lines.into_iter().map(|line| line.plan).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("using tenant_usage_pkey on tenant_usage"), "{plan}");
        assert!(!plan.contains("Seq Scan on tenant_usage") && !plan.contains("Seq Scan on event_keys"), "{plan}");
        assert_eq!(plan.contains("event_keys"), plan.contains("event_keys_pkey"), "{plan}");
        connection.batch_execute("DEALLOCATE looked_at").unwrap();
    }
}

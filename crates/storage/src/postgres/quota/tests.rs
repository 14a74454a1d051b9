//! How slots are shared: writers beside each other, shares spread anew, and the plan of the fast way.

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::Text;
use mercurio_domain::store::{Appended, Store};
use mercurio_domain::testing::{at, submission};
use mercurio_domain::{Owner, WorkspaceId};

use super::super::WRITER;
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

/// `(quota, share, used)` of the slots, in their order.
fn slots(connection: &mut PgConnection) -> Vec<(i64, i64, i64)> {
    use tenant_usage::{quota, share, slot, table, used};
    table.order(slot).select((quota, share, used)).load(connection).unwrap()
}

/// How many wait for a lock.
fn waits() -> diesel::expression::SqlLiteral<BigInt> {
    sql("count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
}

fn connect(database: &TestDatabase) -> PgConnection {
    PgConnection::establish(&database.url_text()).unwrap()
}

#[test]
fn a_writer_that_meets_another_in_the_only_slot_makes_a_second_one_and_then_waits_no_more() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 100, &ids("first", 10)).unwrap();
    let (mut other, mut watcher) = (connect(&database), connect(&database));
    assert_eq!(slots(&mut watcher), [(100, 100, 10)]);
    // Another writer has taken from the slot and has not committed yet.
    let take = "BEGIN; UPDATE tenant_usage SET used = used + 5 WHERE slot = 0";
    other.batch_execute(take).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| append(&*store, 100, &ids("second", 10)));
        while diesel::select(waits()).get_result::<i64>(&mut watcher).unwrap() == 0 {
            std::thread::yield_now();
        }
        other.batch_execute("COMMIT").unwrap();
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(
        slots(&mut watcher),
        [(100, 58, 25), (100, 42, 0)],
        "what was left is spread evenly, and then taken from"
    );
    // From now on there is a slot for both.
    other.batch_execute(take).unwrap();
    let fallbacks = store.append_counts().fallbacks;
    append(&*store, 100, &ids("third", 10)).unwrap();
    assert_eq!(store.append_counts().fallbacks, fallbacks, "nobody waited and nothing was tried twice");
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(slots(&mut watcher), [(100, 58, 25), (100, 42, 10)]);
}

#[test]
fn a_writer_waits_for_one_slot_and_holds_none_meanwhile() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 4_000, &ids("first", 10)).unwrap();
    let (mut other, mut third, mut watcher) = (connect(&database), connect(&database), connect(&database));
    // As another writer does that spreads what is left.
    other.batch_execute("BEGIN; SELECT FROM tenant_usage WHERE slot = 0 FOR UPDATE").unwrap();
    third.batch_execute("BEGIN; SELECT FROM tenant_usage WHERE slot > 0 FOR UPDATE").unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| append(&*store, 4_000, &ids("second", 10)));
        while diesel::select(waits()).get_result::<i64>(&mut watcher).unwrap() == 0 {
            std::thread::yield_now();
        }
        third.batch_execute("COMMIT").unwrap();
        watcher.batch_execute("SELECT FROM tenant_usage WHERE slot > 0 FOR UPDATE NOWAIT").unwrap();
        other.batch_execute("COMMIT").unwrap();
        waiting.join().unwrap().unwrap();
    });
    let slots = slots(&mut watcher);
    assert_eq!(slots.len(), 5, "all were held: there is one more");
    assert_eq!(slots.iter().map(|slot| slot.1).sum::<i64>(), 4_000);
    assert_eq!(slots.iter().map(|slot| slot.2).sum::<i64>(), 20);
}

#[test]
fn of_several_accounts_only_those_are_eased_that_lack_a_slot() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let of = |tenant: i64, name: &str| {
        let owner = Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(tenant) };
        Submission { monthly_events: 100, ..submission(owner, now(), &[name]) }
    };
    store.append(&[of(1, "first"), of(2, "first")]).unwrap();
    let fallbacks = store.append_counts().fallbacks;
    let accepted = store.append(&[of(1, "second"), of(2, "second"), of(3, "first")]).unwrap();
    assert_eq!(accepted, vec![Ok(vec![mercurio_domain::verdict::Outcome::Accepted]); 3]);
    assert_eq!(store.append_counts().fallbacks - fallbacks, 1);
    store.append(&[of(1, "third"), of(2, "third"), of(3, "second")]).unwrap();
    assert_eq!(store.append_counts().fallbacks - fallbacks, 1);
    use tenant_usage::{share, table, tenant_id, used};
    let mut connection = connect(&database);
    let rows: Vec<(i64, i64, i64)> =
        table.order(tenant_id).select((tenant_id, share, used)).load(&mut connection).unwrap();
    assert_eq!(rows, [(1, 100, 3), (2, 100, 3), (3, 100, 2)]);
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
    assert_eq!(slots(&mut connect(&database)), [(100, 100, 7)]);
}

#[test]
fn a_server_that_meets_duplicates_where_nothing_is_left_takes_no_lock_the_second_time() {
    let database = TestDatabase::postgres();
    let (store, another) = (database.store(), database.another_store());
    let (first, second) = (ids("first", 10), ids("second", 10));
    append(&*store, 20, &first).unwrap();
    append(&*store, 20, &second).unwrap();
    let duplicates = Ok(vec![mercurio_domain::verdict::Outcome::Duplicate; 10]);
    assert_eq!(append(&*another, 20, &first), duplicates);
    let mut other = connect(&database);
    // Whoever wanted a lock now would wait for ever.
    other.batch_execute("BEGIN; SELECT FROM tenant_usage FOR UPDATE").unwrap();
    assert_eq!(append(&*another, 20, &second), duplicates);
}

#[test]
fn a_quota_with_plenty_has_a_slot_for_each_of_several_writers_from_the_first() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 4_010, &ids("first", 10)).unwrap();
    let (mut others, mut watcher) = ([(); 3].map(|()| connect(&database)), connect(&database));
    assert_eq!(slots(&mut watcher), [(4_010, 1_003, 10), (4_010, 1_003, 0), (4_010, 1_002, 0), (4_010, 1_002, 0)]);
    let fallbacks = store.append_counts().fallbacks;
    for (slot, other) in others.iter_mut().enumerate() {
        other.batch_execute(&format!("BEGIN; UPDATE tenant_usage SET used = used + 5 WHERE slot = {slot}")).unwrap();
    }
    append(&*store, 4_010, &ids("second", 10)).unwrap();
    assert_eq!(store.append_counts().fallbacks, fallbacks);
    assert_eq!(slots(&mut watcher)[3], (4_010, 1_002, 10));
}

#[test]
fn writers_that_have_a_slot_each_try_nothing_twice_also_where_one_lets_go_while_another_takes() {
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
    assert_eq!(slots(&mut connect(&database)).iter().map(|slot| slot.2).sum::<i64>(), 1_201);
}

#[test]
fn shares_that_are_too_small_are_spread_anew_before_anything_is_refused() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 100, &ids("first", 1)).unwrap();
    let mut connection = connect(&database);
    let spread = "INSERT INTO tenant_usage SELECT 1, 202611, slot, 100, 9, 0 FROM generate_series(1, 10) AS slot;
         UPDATE tenant_usage SET share = 10 WHERE slot = 0";
    connection.batch_execute(spread).unwrap();
    // 99 are left, and no slot has room for 50 of them.
    append(&*store, 100, &ids("second", 50)).unwrap();
    append(&*store, 100, &ids("third", 49)).unwrap();
    append(&*store, 100, &ids("fourth", 1)).unwrap_err();
    let slots = slots(&mut connection);
    assert_eq!(slots.iter().map(|slot| slot.2).sum::<i64>(), 100);
    assert!(slots.iter().all(|(_, share, used)| share == used), "{slots:?}");
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
                            let is_accepted = |outcome: &&_| **outcome == mercurio_domain::verdict::Outcome::Accepted;
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
    let slots = slots(&mut connection);
    let (share, used) = slots.iter().fold((0, 0), |sums, slot| (sums.0 + slot.1, sums.1 + slot.2));
    let quota = QUOTA as i64;
    assert_eq!((accepted, stored, share, used), (QUOTA, quota, quota, quota));
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
    let used: i64 = slots(&mut connection).iter().map(|slot| slot.2).sum();
    assert!(accepted.iter().all(|accepted| *accepted <= QUOTA), "{accepted:?}");
    assert_eq!(accepted.iter().map(|accepted| *accepted as i64).collect::<Vec<_>>(), stored);
    assert_eq!(used, stored.iter().sum::<i64>());
    assert!(stored.iter().filter(|stored| **stored == QUOTA as i64).count() >= 3, "{stored:?}");
}

#[test]
fn the_fast_way_finds_each_slot_by_the_index_and_once() {
    struct Explain(Take);
    impl QueryFragment<Pg> for Explain {
        fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
            pass.unsafe_to_cache_prepared();
            pass.push_sql("EXPLAIN (COSTS OFF) ");
            self.0.walk_ast(pass.reborrow())
        }
    }
    impl QueryId for Explain {
        type QueryId = ();

        const HAS_STATIC_QUERY_ID: bool = false;
    }
    impl Query for Explain {
        type SqlType = Text;
    }
    impl RunQueryDsl<PgConnection> for Explain {}

    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        plan: String,
    }

    let database = TestDatabase::postgres();
    let mut connection = connect(&database);
    let many = "INSERT INTO tenant_usage SELECT n, 202611, slot, 100, 50, 0 FROM generate_series(1, 3000) n, generate_series(0, 1) slot;
         ANALYZE tenant_usage";
    connection.batch_execute(many).unwrap();
    let account = Account { tenant_id: TenantId(1), month: Month::of(now()), limit: 100 };
    let other = Account { tenant_id: TenantId(2), ..account };
    let many = BTreeMap::from([(account, 1), (other, 1)]);
    connection.batch_execute(WRITER).unwrap();
    connection.batch_execute(take::PREPARE).unwrap();
    let mut plans = vec![Explain(Take::of(&many)).load::<String>(&mut connection).unwrap()];
    let begin = take::begin(&account, 1);
    let explain = format!("EXPLAIN (COSTS OFF) {}", begin.strip_prefix("BEGIN; ").unwrap());
    let lines = diesel::sql_query(explain).load::<Line>(&mut connection).unwrap();
    plans.push(lines.into_iter().map(|line| line.plan).collect());
    for plan in plans {
        let plan = plan.join("\n");
        assert_eq!(plan.matches("Index Scan using tenant_usage_pkey").count(), 2, "{plan}");
        assert!(!plan.contains("Seq Scan"), "{plan}");
    }
}

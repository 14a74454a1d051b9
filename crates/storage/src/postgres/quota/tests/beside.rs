//! Many writers at once.

use super::*;

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
                    let tenant_of =
                        |place: i64| (place * (lane as i64 % 4 + 1) + round as i64) % TENANTS;
                    let of = |place: i64| {
                        let id = tenant_of(place) + 1;
                        let owner =
                            Owner { tenant_id: TenantId(id), workspace_id: WorkspaceId(id) };
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
                    if size == 1
                        && answers
                            .iter()
                            .all(|answer| matches!(answer, Err(full) if full.used == QUOTA))
                    {
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

//! Writers from whom something is taken back: alive, silent, dead, and cut off.

use super::*;

/// Ends a transaction when the work waits for it, and returns what that leads to.
fn end_where_waited_for<T: Send>(
    transaction: &mut PgConnection,
    end: &str,
    work: impl FnOnce() -> T + Send,
) -> T {
    let is_waited_for = sql::<Bool>(
        "EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))",
    );
    std::thread::scope(|scope| {
        let waiting = scope.spawn(work);
        while !diesel::select(is_waited_for.clone()).get_result::<bool>(transaction).unwrap() {
            assert!(!waiting.is_finished(), "it waited for nobody");
            std::thread::yield_now();
        }
        transaction.batch_execute(end).unwrap();
        waiting.join().unwrap()
    })
}

/// Ends all connections but this one.
fn cut_others_off(connection: &mut PgConnection) {
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    connection.batch_execute(others).unwrap();
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
    let answers =
        store.append(&[of(1, "second", 1), of(2, "second", 1), of(3, "second", 1)]).unwrap();
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
    let mut first = connect(&database);
    // The first writer has counted five more and has not committed yet.
    let of_first = series(&mut first, 1);
    store_without_commit(&mut first, of_first, 1, "{202611,7,3,1,5}");
    let refused =
        end_where_waited_for(&mut first, "COMMIT", || append(&*another, 100, &ids("second", 86)));
    assert_eq!(refused.unwrap_err().used, 15);
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
    watcher
        .batch_execute("UPDATE quota_writers SET seen_at = now() - interval '6 minutes'")
        .unwrap();
    let another = database.another_store();
    append(&*another, 1_000, &ids("second", 10)).unwrap();
    assert_eq!(rows(&mut watcher), [(0, 0, 0), (1, 250, 10)], "with what was reserved for it");
    append(&*store, 1_000, &ids("third", 10)).unwrap();
    assert_eq!(rows(&mut watcher).len(), 3);
    append(&*another, 1_000, &ids("fourth", 10)).unwrap();
    append(&*store, 1_000, &ids("fifth", 10)).unwrap();
    assert_eq!(
        (usage(&*store), store.append_counts().fallbacks, another.append_counts().fallbacks),
        (50, 1, 0)
    );
}

#[test]
fn a_writer_that_was_taken_over_finds_out_however_long_it_was_silent() {
    let database = TestDatabase::postgres();
    let store = database.store();
    append(&*store, 1_000_000, &ids("first", 10)).unwrap();
    let mut watcher = connect(&database);
    watcher
        .batch_execute("UPDATE quota_writers SET seen_at = now() - interval '6 minutes'")
        .unwrap();
    let another = database.another_store();
    // Who has it now adds up, and begins other epochs.
    for round in 0..1_002 {
        append(&*another, 1_000_000, &ids(&format!("other {round}"), 1)).unwrap();
    }
    append(&*store, 1_000_000, &ids("second", 10)).unwrap();
    assert_eq!(
        (usage(&*store), store.append_counts().fallbacks, another.append_counts().fallbacks),
        (1_022, 1, 0)
    );
    assert_eq!(rows(&mut watcher).len(), 3, "it has a seat of its own");
}

#[test]
fn a_group_that_is_rolled_back_while_its_writer_is_called_is_not_counted_and_the_next_one_finds_out()
 {
    let database = TestDatabase::postgres();
    let (store, another) = (database.store(), database.another_store());
    append(&*store, 100, &ids("first", 10)).unwrap();
    let mut first = connect(&database);
    let of_first = series(&mut first, 1);
    store_without_commit(&mut first, of_first, 1, "{202611,1,5}");
    end_where_waited_for(&mut first, "ROLLBACK", || append(&*another, 100, &ids("second", 90)))
        .unwrap();
    assert_eq!(append(&*store, 100, &ids("third", 1)).unwrap_err().used, 100);
    assert_eq!((usage(&*store), store.append_counts().fallbacks > 0), (100, true));
}

#[test]
fn a_writer_that_goes_on_after_it_was_called_takes_none_of_the_keys_that_were_taken() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let mut caller = connect(&database);
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    for round in 1..=5_u64 {
        caller.transaction(|connection| reserve::call(connection, 1)).unwrap();
        append(&*store, 1_000, &ids(&format!("{round}"), 3)).unwrap();
        append(&*store, 1_000, &ids(&format!("{round} more"), 2)).unwrap();
        assert_eq!((usage(&*store), store.append_counts().fallbacks), (10 + 5 * round, round));
    }
    // One whose keys are suspected all, and one of them: counted last, where the epoch tells.
    let mut connection = connect(&database);
    connection
        .batch_execute("DELETE FROM event_keys WHERE tenant_id > 0; DELETE FROM events")
        .unwrap();
    caller.transaction(|connection| reserve::call(connection, 1)).unwrap();
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    assert_eq!((usage(&*store), store.append_counts().fallbacks), (45, 6));
}

#[test]
fn a_writer_that_has_added_up_for_its_own_group_is_called_all_the_same() {
    let database = TestDatabase::postgres();
    let (store, another) = (database.store(), database.another_store());
    for round in 0..3 {
        append(&*store, 1_000, &ids(&format!("first {round}"), 10)).unwrap();
    }
    // Another tenant becomes scarce: the writer takes back its own reservation of that, and what it has counted of the first one is added up.
    let owner = Owner { tenant_id: TenantId(2), workspace_id: WorkspaceId(2) };
    for count in [10, 60] {
        let ids = ids(&format!("of {count}"), count);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let group = [Submission { monthly_events: 100, ..submission(owner, now(), &ids) }];
        store.append(&group).unwrap().remove(0).unwrap();
    }
    assert_eq!(logged(&mut connect(&database)), 0);
    append(&*another, 1_000, &ids("second", 960)).unwrap();
    append(&*store, 1_000, &ids("third", 10)).unwrap();
    assert_eq!(append(&*store, 1_000, &ids("fourth", 1)).unwrap_err().used, 1_000);
    assert_eq!(usage(&*store), 1_000);
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
    cut_others_off(&mut connection);
    append(&*store, 1_000, &ids("third", 30)).unwrap();
    assert_eq!(usage(&*store), 50);
    assert_eq!(rows(&mut connection)[1], (1, 265, 20), "a quarter of 980, and what was counted");
}

#[test]
fn a_database_that_comes_back_from_before_its_writer_added_up_has_lost_no_count() {
    let database = TestDatabase::postgres();
    let store = database.store();
    for round in 0..1_000 {
        append(&*store, 100_000, &ids(&round.to_string(), 1)).unwrap();
    }
    let mut connection = connect(&database);
    let save = "CREATE TABLE saved_writers AS TABLE quota_writers; CREATE TABLE saved_usage AS TABLE tenant_usage;
        CREATE TABLE saved_keys AS TABLE event_keys";
    connection.batch_execute(save).unwrap();
    append(&*store, 100_000, &ids("lost", 1)).unwrap();
    assert_eq!(logged(&mut connection), 1, "it has added up and begun another epoch");
    let lose = "UPDATE quota_writers SET epoch = saved_writers.epoch, number = saved_writers.number FROM saved_writers;
        TRUNCATE tenant_usage, event_keys; INSERT INTO tenant_usage TABLE saved_usage; INSERT INTO event_keys TABLE saved_keys";
    connection.batch_execute(lose).unwrap();
    cut_others_off(&mut connection);
    append(&*store, 100_000, &ids("second", 5)).unwrap();
    assert_eq!((usage(&*store), logged(&mut connection)), (1_005, 1));
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
    cut_others_off(&mut connection);
    append(&*store, 1_000, &ids("second", 20)).unwrap();
    assert_eq!((usage(&*store), rows(&mut connection).last().map(|row| row.1)), (20, Some(250)));
}

#[test]
fn a_writer_whose_server_is_cut_off_within_a_transaction_holds_others_up_for_seconds() {
    let database = TestDatabase::postgres();
    let (store, another) = (database.store(), database.another_store());
    append(&*store, 1_000, &ids("first", 10)).unwrap();
    let mut cut_off = connect(&database);
    cut_off.batch_execute(super::super::super::driver::WRITER_SETTINGS).unwrap();
    let of_first = series(&mut cut_off, 1);
    store_without_commit(&mut cut_off, of_first, 1, "{202611,1,5}");
    append(&*another, 1_000, &ids("second", 990)).unwrap();
    assert_eq!(usage(&*another), 1_000);
    assert!(cut_off.batch_execute("COMMIT").is_err());
}

//! Events that are older than they are kept: gone on both databases, each tenant's after its own days, by one server.

use std::time::{Duration, Instant};

use mercurio_domain::limits::LimitName;
use mercurio_domain::store::{Backend, Store};
use mercurio_domain::testing::{provisioning, submission};
use mercurio_domain::{Clock, Owner, Timestamp};
use mercurio_storage::testing::TestDatabase;
use serde_json::Value;

use crate::client::Client;
use crate::metrics;
use crate::server::{Server, command};

const DAY_MICROS: i64 = 86_400_000_000;

fn days_ago(days: i64) -> Timestamp {
    struct Now;
    impl Clock for Now {
        fn now(&self) -> Timestamp {
            chrono::Utc::now().into()
        }
    }
    Now.now().checked_add_micros(-days * DAY_MICROS).unwrap()
}

/// A tenant with an event of each age, and with days of its own where they are given.
fn tenant(store: &dyn Store, seed: u8, days: Option<u64>) -> Owner {
    let owner = store
        .provision(&provisioning(&format!("tenant {seed}"), seed, days_ago(0)).0)
        .unwrap()
        .api_key
        .owner;
    store.set_limits(owner.tenant_id, &[(LimitName::RetentionDays, days)]).unwrap();
    for age in [0, 5, 20, 100] {
        store.append(&[submission(owner, days_ago(age), &[&format!("of {age} days")])]).unwrap();
    }
    owner
}

/// The lines of the log that tell of removals.
fn told(server: &Server) -> Vec<Value> {
    server.lines("old events were removed")
}

fn check(database: &TestDatabase) {
    let store = database.store();
    let owners = [None, Some(10), Some(0)]
        .into_iter()
        .zip(1..)
        .map(|(days, seed)| tenant(&*store, seed, days));
    let owners: Vec<Owner> = owners.collect();
    let counts =
        || -> Vec<u64> { owners.iter().map(|owner| store.count_events(*owner).unwrap()).collect() };
    assert_eq!(counts(), [4, 4, 4]);
    let start = || Server::with(command(&database.url_text()).env("MERCURIO_RETENTION_DAYS", "30"));
    let servers = [start(), start()];
    let begun = Instant::now();
    while counts() != [3, 2, 4] {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", counts());
        std::thread::yield_now();
    }
    // The removals go on with the keys, and tell when they are done.
    let sum = |member: &str| -> u64 {
        let told = servers.iter().flat_map(told);
        told.map(|line| line[member].as_u64().unwrap()).sum()
    };
    while (sum("events"), sum("event_keys")) != (3, 2) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{} {}",
            sum("events"),
            sum("event_keys")
        );
        std::thread::yield_now();
    }
    let texts = servers
        .each_ref()
        .map(|server| Client::connect(server.addr).unwrap().get("/metrics", "").unwrap().body);
    let counted = |name: &str| texts.iter().map(|text| metrics::sum(text, name)).sum::<f64>();
    assert_eq!(counted("mercurio_retention_removed_events_total"), 3.0);
    assert_eq!(counted("mercurio_retention_removed_event_keys_total"), 2.0);
    if store.backend() == Backend::Postgres {
        let has_duty = texts.iter().filter(|text| {
            metrics::sum(text, "mercurio_retention_last_run_timestamp_seconds") > 0.0
        });
        assert_eq!(has_duty.count(), 1);
        let at_work = servers.iter().filter(|server| !told(server).is_empty());
        assert_eq!(at_work.count(), 1, "of two servers one does it");
    }
    // Of 100 days and kept for 10 or 30: the key has gone too, so that its id is new. Of 20 days and kept for 10: it has not.
    let again = |age: i64| submission(owners[1], days_ago(0), &[&format!("of {age} days")]);
    let outcomes = format!("{:?}", store.append(&[again(100), again(20)]).unwrap());
    assert!(outcomes.find("Accepted") < outcomes.find("Duplicate"), "{outcomes}");
    for server in servers {
        server.signal("INT");
        assert_eq!(server.wait().0.code(), Some(0));
    }
}

#[test]
fn old_events_go_after_the_days_of_the_server_or_of_the_tenant_on_sqlite() {
    check(&TestDatabase::sqlite());
}

#[test]
fn old_events_go_after_the_days_of_the_server_or_of_the_tenant_on_postgres() {
    check(&TestDatabase::postgres());
}

#[test]
fn whole_days_are_dropped_where_no_tenant_keeps_them() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = tenant(&*store, 1, None);
    let partitions = || {
        let sql = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass";
        let output = std::process::Command::new("psql")
            .args(["-qAtc", sql])
            .arg(database.url_text())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
    };
    let before = partitions();
    let server = Server::with(command(&database.url_text()).env("MERCURIO_RETENTION_DAYS", "10"));
    let begun = Instant::now();
    while store.count_events(owner).unwrap() != 2 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    // Each day was made with a week ahead: of those of 100 and of 20 days ago all are older than ten days.
    let begun = Instant::now();
    while partitions() > before - 16 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} of {before}", partitions());
        std::thread::yield_now();
    }
    drop(server);
}

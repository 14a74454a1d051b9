//! Retention on both databases: expired events are deleted by one server, after the days of each
//! tenant.

use std::fmt::Debug;

use mercurio_domain::limits::{LimitChange, LimitName};
use mercurio_domain::store::{Backend, RejectionBatch, Store};
use mercurio_domain::testing::{provisioning, rejection, submission};
use mercurio_domain::verdict::FieldErrorCode;
use mercurio_domain::{Clock, Owner, Timestamp};
use mercurio_runtime::system::SystemClock;
use mercurio_storage::testing::{TestDatabase, wait_for, wait_until};
use serde_json::Value;

use crate::client::Client;
use crate::metrics;
use crate::server::{Server, command};

const DAY_MICROS: i64 = 86_400_000_000;

fn days_ago(days: i64) -> Timestamp {
    SystemClock.now().checked_add_micros(-days * DAY_MICROS).unwrap()
}

/// Creates a tenant with an event of each age, and with a retention of its own if `days` is set.
fn tenant(store: &dyn Store, seed: u8, days: Option<u64>) -> Owner {
    let owner = store
        .provision(&provisioning(&format!("tenant {seed}"), seed, days_ago(0)).0)
        .unwrap()
        .api_key
        .owner;
    let change = LimitChange { name: LimitName::RetentionDays, value: days };
    store.set_limits(owner.tenant_id, &[change]).unwrap();
    for age in [0, 5, 20, 100] {
        store.append(&[submission(owner, days_ago(age), &[&format!("of {age} days")])]).unwrap();
    }
    owner
}

/// The log lines about removals.
fn removals(server: &Server) -> Vec<Value> {
    server.lines("old events removed")
}

/// Returns the sum of a number over all lines about removals.
fn sum(servers: &[Server], member: &str) -> u64 {
    let lines = servers.iter().flat_map(removals);
    lines.map(|line| line[member].as_u64().unwrap()).sum()
}

/// Waits until `value` returns `expected`.
#[track_caller]
fn wait_for_value<T: PartialEq + Debug>(expected: T, value: impl Fn() -> T) {
    wait_for(&format!("{expected:?}"), || {
        let value = value();
        if value == expected { Ok(()) } else { Err(value) }
    });
}

fn check(database: &TestDatabase) {
    let store = database.store();
    // The server's 30 days, 10 days, and for ever.
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
    // Past their days: 100 for the first tenant, 20 and 100 for the second.
    wait_for_value([3, 2, 4].to_vec(), counts);
    // The keys are removed after the events, and the line is logged at the end. Keys stay 30 days
    // longer, so only the two of 100 days go.
    wait_for_value([3, 2], || ["events", "event_keys"].map(|member| sum(&servers, member)));
    // The second tenant has days of its own, so its removal has a line of its own.
    let lines = servers.iter().flat_map(removals);
    let tenants: Vec<Value> = lines.filter_map(|line| line.get("tenant_id").cloned()).collect();
    assert!(!tenants.is_empty() && tenants.iter().all(Value::is_string), "{tenants:?}");
    let texts = servers
        .each_ref()
        .map(|server| Client::connect(server.addr).unwrap().get("/metrics", "").unwrap().body);
    let counted = |name: &str| texts.iter().map(|text| metrics::sum(text, name)).sum::<f64>();
    assert_eq!(counted("mercurio_retention_removed_events_total"), 3.0);
    assert_eq!(counted("mercurio_retention_removed_event_keys_total"), 2.0);
    if store.backend() == Backend::Postgres {
        let with_lease = texts.iter().filter(|text| {
            metrics::sum(text, "mercurio_retention_last_run_timestamp_seconds") > 0.0
        });
        assert_eq!(with_lease.count(), 1);
        let at_work = servers.iter().filter(|server| !removals(server).is_empty());
        assert_eq!(at_work.count(), 1, "one of two servers removes");
    }
    // The key of an event is kept 30 days longer. After 100 days it is gone and the id is new;
    // after 20 days it is not.
    let again = |age: i64| submission(owners[1], days_ago(0), &[&format!("of {age} days")]);
    let outcomes = format!("{:?}", store.append(&[again(100), again(20)]).unwrap());
    assert!(outcomes.find("Accepted") < outcomes.find("Duplicate"), "{outcomes}");
    for server in servers {
        server.signal("INT");
        assert_eq!(server.wait().0.code(), Some(0));
    }
}

#[test]
fn old_events_are_removed_per_tenant_on_sqlite() {
    check(&TestDatabase::sqlite());
}

#[test]
fn old_events_are_removed_per_tenant_on_postgres() {
    check(&TestDatabase::postgres());
}

/// Returns the number of partitions of `events`.
fn partitions(database: &TestDatabase) -> u32 {
    let sql = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass";
    let output = std::process::Command::new("psql")
        .args(["-qAtc", sql])
        .arg(database.url_text())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn days_that_no_tenant_keeps_are_dropped_whole() {
    let database = TestDatabase::postgres();
    let store = database.store();
    let owner = tenant(&*store, 1, None);
    let before = partitions(&database);
    let server = Server::with(command(&database.url_text()).env("MERCURIO_RETENTION_DAYS", "10"));
    // Of 0, 5, 20 and 100 days, two are past the limit of 10.
    wait_for_value(2, || store.count_events(owner).unwrap());
    // Each event created the partitions of its day and the week after: the 16 of 100 and 20 days
    // ago are past retention.
    wait_until("16 partitions less", || partitions(&database) <= before - 16);
    drop(server);
}

#[test]
fn old_rejections_are_removed_after_their_days() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres()] {
        let store = database.store();
        let owner = tenant(&*store, 1, None);
        let events =
            [0, 5, 20, 100].map(|age| rejection(owner, days_ago(age), &[FieldErrorCode::Required]));
        let batch = RejectionBatch { events: events.to_vec(), counts: Vec::new() };
        store.record_rejections(&batch).unwrap();
        let left = || store.rejections(owner, &Default::default()).unwrap().events.len();
        assert_eq!(left(), 4);
        for (days, kept) in [("10", 2), ("0", 0)] {
            let mut server = command(&database.url_text());
            server.env("MERCURIO_REJECTION_DAYS", days);
            let server = Server::with(&mut server);
            wait_for_value(kept, left);
            wait_for_value(2, || {
                let lines = server.lines("old rejections removed");
                lines.iter().map(|line| line["events"].as_u64().unwrap()).sum()
            });
            let metrics = Client::connect(server.addr).unwrap().get("/metrics", "").unwrap().body;
            let removed = metrics::sum(&metrics, "mercurio_retention_removed_rejections_total");
            assert_eq!(removed, 2.0);
        }
        // Events are kept for ever.
        assert_eq!(store.count_events(owner).unwrap(), 4);
    }
}

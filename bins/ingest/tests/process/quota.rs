//! Counts and monthly quotas over real servers: they equal the stored rows, under load and after
//! crashes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use mercurio_domain::limits::{LimitChange, LimitName, Month};
use mercurio_domain::store::{CountQuery, Store, TenantRef};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::{at, provisioning};
use mercurio_domain::{Clock, Owner};
use mercurio_history::History;
use mercurio_runtime::system::SystemClock;
use mercurio_storage::testing::wait_until;
use mercurio_storage::{DatabaseUrl, StoreOptions};

use crate::client::Client;
use crate::metrics::sum;
use crate::postgres_server;
use crate::sender::{Sender, check};
use crate::server::{Deployment, Server, command};

/// Returns the workspace of the clients' key.
fn owner(store: &dyn Store) -> Owner {
    let which = TenantRef::Name(Name::parse("acme").unwrap());
    let tenant_id = store.tenant(&which).unwrap().unwrap().tenant.id;
    Owner { tenant_id, workspace_id: store.workspaces(tenant_id).unwrap()[0].id }
}

fn set_quota(deployment: &Deployment, events: u64) {
    let store = deployment.database.store();
    let change = LimitChange { name: LimitName::MonthlyEvents, value: Some(events) };
    store.set_limits(owner(&*store).tenant_id, &[change]).unwrap();
}

fn usage(store: &dyn Store) -> u64 {
    store.usage(&[owner(store).tenant_id], Month::of(SystemClock.now())).unwrap()[0]
}

/// Asserts that the counts equal the stored events, and returns their number.
#[track_caller]
pub(crate) fn check_counts(store: &dyn Store) -> u64 {
    let owner = owner(store);
    let rows = store.count_events(owner).unwrap();
    let (from, to) = (at("2020-01-01T00:00:00Z"), at("9999-12-31T23:00:00Z"));
    let query = CountQuery { owner, event_name: None, from, to };
    let counted: u64 = store.event_counts(&query).unwrap().iter().map(|count| count.accepted).sum();
    assert_eq!((usage(store), counted), (rows, rows));
    rows
}

/// Sends batches of 1 to 7 until the quota is used up to the last event. Calls `accepted` with the
/// events of each answer.
fn send_until_full(server: &Server, key: &str, name: &str, mut accepted: impl FnMut(u64)) {
    let mut client = Client::connect(server.addr).unwrap();
    let mut batch = 7;
    for number in 0.. {
        let ids: Vec<_> = (0..batch).map(|event| format!("{name}-{number}-{event}")).collect();
        let answer = client.batch(&ids, key).unwrap();
        match answer.status {
            200 => accepted(answer.json["accepted"].as_u64().unwrap()),
            429 => {
                assert_eq!(answer.json["code"], "quota_exceeded");
                let renews_at = answer.json["renews_at"].as_str().unwrap();
                assert!(renews_at.ends_with("-01T00:00:00.000000Z"), "{renews_at}");
                let seconds = answer.json["retry_after_seconds"].to_string();
                assert_eq!(answer.retry_after, Some(seconds));
                if batch == 1 {
                    return;
                }
                batch -= 1;
            }
            status => panic!("{status}: {}", answer.json),
        }
    }
}

#[test]
fn one_server_and_one_connection_store_the_quota_exactly() {
    // Not a multiple of 7: the last batches must shrink to fit.
    const QUOTA: u64 = 503;
    for deployment in [Deployment::postgres(), Deployment::sqlite()] {
        let mut command = command(&deployment.database.url_text());
        let server = Server::with(command.env("MERCURIO_MONTHLY_EVENTS", QUOTA.to_string()));
        let mut accepted = 0;
        send_until_full(&server, &deployment.key, "a", |events| accepted += events);
        assert_eq!((accepted, check_counts(&*deployment.database.store())), (QUOTA, QUOTA));
        // The tenant's own quota takes the place of the server's.
        set_quota(&deployment, QUOTA + 2);
        drop(server);
        let server = Server::with(&mut command);
        send_until_full(&server, &deployment.key, "b", |events| accepted += events);
        assert_eq!((accepted, check_counts(&*deployment.database.store())), (QUOTA + 2, QUOTA + 2));
    }
}

#[test]
fn one_server_and_many_connections_never_pass_the_quota() {
    const QUOTA: u64 = 1_003;
    let deployment = Deployment::postgres();
    set_quota(&deployment, QUOTA);
    let server = deployment.start();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (server, key) = (&server, &deployment.key);
            scope.spawn(move || send_until_full(server, key, &number.to_string(), |_| ()));
        }
    });
    assert!(check_counts(&*deployment.database.store()) <= QUOTA);
    send_until_full(&server, &deployment.key, "rest", |_| ());
    assert_eq!(check_counts(&*deployment.database.store()), QUOTA);
}

/// A batch accepted by a server.
struct Accepted {
    server: usize,
    sent_at: Instant,
    answered_at: Instant,
    events: u64,
}

/// Returns the maximum number of events that one server accepted within `time`.
fn max_accepted_within(time: Duration, server: usize, log: &[Accepted]) -> u64 {
    let of_server: Vec<_> = log.iter().filter(|accepted| accepted.server == server).collect();
    let mut max = 0;
    for first in &of_server {
        let window = first.answered_at..=first.answered_at + time;
        let within = of_server.iter().filter(|accepted| window.contains(&accepted.answered_at));
        max = max.max(within.map(|accepted| accepted.events).sum());
    }
    max
}

#[test]
fn two_servers_exceed_the_quota_by_at_most_one_second() {
    const QUOTA: u64 = 4_003;
    let deployment = Deployment::postgres();
    set_quota(&deployment, QUOTA);
    let servers = [(); 2].map(|()| deployment.start());
    let log = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (servers, key, log) = (&servers, &deployment.key, &log);
            scope.spawn(move || {
                let server = number % 2;
                let mut sent_at = Instant::now();
                send_until_full(&servers[server], key, &number.to_string(), |events| {
                    let answered_at = Instant::now();
                    log.lock().unwrap().push(Accepted { server, sent_at, answered_at, events });
                    sent_at = answered_at;
                });
            });
        }
    });
    let log = log.into_inner().unwrap();
    let stored = check_counts(&*deployment.database.store());
    assert_eq!(stored, log.iter().map(|accepted| accepted.events).sum::<u64>());
    // Requests in flight at the start of the second count too, so the slowest one extends it.
    let slowest = log.iter().map(|accepted| accepted.answered_at - accepted.sent_at).max();
    let second = Duration::from_secs(1) + slowest.unwrap();
    let more = (0..2).map(|server| max_accepted_within(second, server, &log)).max().unwrap();
    assert!(stored <= QUOTA + more, "{stored} of {QUOTA}, and at most {more} more");
    for server in &servers {
        let mut client = Client::connect(server.addr).unwrap();
        let limits = client.get("/v1/limits", &deployment.key).unwrap().json;
        let quota = &limits["remaining"]["monthly_events"];
        assert_eq!(quota["used"].as_u64(), Some(stored), "{limits}");
        assert_eq!(client.batch(&["late".to_owned()], &deployment.key).unwrap().status, 429);
    }
}

#[test]
fn limits_and_metrics_agree_with_the_rows_under_load() {
    // Never reached: only the counts are tested.
    const QUOTA: u64 = 1_000_000;
    for deployment in [Deployment::postgres(), Deployment::sqlite()] {
        set_quota(&deployment, QUOTA);
        let server = deployment.start();
        let store = deployment.database.store();
        let (owner, is_over, polls) = (owner(&*store), AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for number in 0..3 {
                let (addr, key, is_over) = (server.addr, &deployment.key, &is_over);
                scope.spawn(move || {
                    let mut client = Client::connect(addr).unwrap();
                    for batch in 0.. {
                        if is_over.load(Ordering::SeqCst) {
                            return;
                        }
                        let ids: Vec<_> =
                            (0..10).map(|event| format!("{number}-{batch}-{event}")).collect();
                        assert_eq!(client.batch(&ids, key).unwrap().status, 200);
                    }
                });
            }
            let mut client = Client::connect(server.addr).unwrap();
            let rows = || store.count_events(owner).unwrap();
            // Long enough for several sums of `count_log`, one a second.
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(3) {
                let before = rows();
                let limits = client.get("/v1/limits", &deployment.key).unwrap().json;
                let used = limits["remaining"]["monthly_events"]["used"].as_u64().unwrap();
                let between = rows();
                assert!((before..=between).contains(&used), "{before} {used} {between}");
                let page = client.get("/metrics", "").unwrap().body;
                let ratio = sum(&page, "mercurio_tenant_quota_used_ratio{");
                let (used, after) = ((ratio * QUOTA as f64).round() as u64, rows());
                // A tenant is in the metrics once it has sent.
                assert!(used == 0 || (between..=after).contains(&used), "{between} {used} {after}");
                polls.fetch_add(u64::from(used > 0), Ordering::SeqCst);
            }
            is_over.store(true, Ordering::SeqCst);
        });
        assert!(polls.into_inner() > 3);
        check_counts(&*store);
    }
}

#[test]
fn quota_continues_after_its_server_is_killed() {
    for deployment in [Deployment::postgres(), Deployment::sqlite()] {
        set_quota(&deployment, 1_000_000);
        let store = deployment.database.store();
        let server = deployment.start();
        let (sender, progress) = channel();
        std::thread::scope(|scope| {
            for number in 0..3 {
                let (addr, client, sender) = (server.addr, deployment.sender(), sender.clone());
                scope.spawn(move || client.send_until_gone(addr, &number.to_string(), &sender));
            }
            progress.iter().take(20).for_each(drop);
            server.kill();
        });
        let stored = check_counts(&*store);
        // Room for one event more.
        set_quota(&deployment, stored + 1);
        let server = deployment.start();
        let mut accepted = 0;
        send_until_full(&server, &deployment.key, "after", |events| accepted += events);
        assert_eq!((accepted, check_counts(&*store)), (1, stored + 1));
    }
}

/// Waits until `events` more are accepted than now.
#[track_caller]
fn wait_for_more(accepted: &AtomicU64, events: u64) {
    let expected = accepted.load(Ordering::SeqCst) + events;
    wait_until("the server accepts events", || accepted.load(Ordering::SeqCst) >= expected);
}

/// Sends a batch to a server whose database may be away.
fn is_accepted(sender: &mut Sender, client: &mut Client, ids: &[String]) -> bool {
    let answer = sender.batch(client, ids).unwrap();
    assert!([200, 503].contains(&answer.status), "{answer:?}");
    answer.status == 200
}

#[test]
fn counts_equal_rows_after_postgresql_is_killed_under_load() {
    let database = postgres_server::Server::start("");
    let url = DatabaseUrl::parse(&database.url()).unwrap();
    let store = mercurio_storage::open(&url, &StoreOptions::default()).unwrap();
    store.migrate().unwrap();
    let (request, key) = provisioning("acme", 1, SystemClock.now());
    store.provision(&request).unwrap();
    let server = Server::start(&database.url());
    let (is_over, accepted) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut history = History::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let mut sender = Sender::new(key.expose(), owner(&*store));
                let (addr, is_over, accepted) = (server.addr, &is_over, &accepted);
                scope.spawn(move || {
                    let mut client = Client::connect(addr).unwrap();
                    for batch in 0.. {
                        let ids: Vec<_> =
                            (0..20).map(|event| format!("{number}-{batch}-{event}")).collect();
                        // A 503 leaves the outcome open: the same ids are safe to send again.
                        wait_until("the batch is accepted", || {
                            is_over.load(Ordering::SeqCst)
                                || is_accepted(&mut sender, &mut client, &ids)
                        });
                        if is_over.load(Ordering::SeqCst) {
                            break;
                        }
                        accepted.fetch_add(20, Ordering::SeqCst);
                    }
                    sender.history
                })
            })
            .collect();
        // Each crash comes at another moment, always under load.
        for round in 1..=3 {
            wait_for_more(&accepted, 300 * round);
            database.crash();
            database.resume();
            wait_for_more(&accepted, 100);
        }
        is_over.store(true, Ordering::SeqCst);
        for client in clients {
            history.merge(client.join().unwrap());
        }
    });
    check(&history, &database.url());
    // The counts are the same before and after a sum.
    store.sum_counts().unwrap();
    check(&history, &database.url());
}

/// Returns the time of a server's last sum, or 0.
fn summed_at(server: &Server) -> f64 {
    let page = Client::connect(server.addr).unwrap().get("/metrics", "").unwrap().body;
    sum(&page, "mercurio_counts_summed_timestamp_seconds ")
}

#[test]
fn counts_are_summed_by_another_server_after_a_kill() {
    let deployment = Deployment::postgres();
    let store = deployment.database.store();
    let first = deployment.start();
    wait_until("the first server sums", || summed_at(&first) > 0.0);
    let second = deployment.start();
    let mut client = Client::connect(second.addr).unwrap();
    assert_eq!(client.batch(&["a".to_owned()], &deployment.key).unwrap().status, 200);
    assert_eq!(summed_at(&second), 0.0, "one at a time");
    first.kill();
    assert_eq!(client.batch(&["b".to_owned()], &deployment.key).unwrap().status, 200);
    assert_eq!(check_counts(&*store), 2);
    wait_until("the second server sums", || summed_at(&second) > 0.0);
    assert_eq!(check_counts(&*store), 2);
}

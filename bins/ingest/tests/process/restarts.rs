//! PostgreSQL restarts and ended sessions under a running server: 503 while the database is away,
//! 200 within seconds of its return, and no other answer.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use mercurio_domain::Clock;
use mercurio_domain::testing::provisioning;
use mercurio_runtime::system::SystemClock;
use mercurio_storage::{DatabaseUrl, StoreOptions};

use crate::client::{Client, stored_ids};
use crate::postgres_server;
use crate::quota::check_counts;
use crate::server::{Server, command};

/// Longest time from the database's return to the first 200.
const RECOVERY: Duration = Duration::from_secs(5);

/// Longest wait for clients to get an answer at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// A PostgreSQL server to stop and start, and an ingest server on it.
struct Deployment {
    database: postgres_server::Server,
    url: DatabaseUrl,
    key: String,
    server: Server,
}

impl Deployment {
    fn start() -> Self {
        let database = postgres_server::Server::start("");
        let url = DatabaseUrl::parse(&database.url()).unwrap();
        let store = mercurio_storage::open(&url, &StoreOptions::default()).unwrap();
        store.migrate().unwrap();
        let (request, key) = provisioning("acme", 1, SystemClock.now());
        store.provision(&request).unwrap();
        let mut command = command(&database.url());
        // Without the cache each request reads its key from the database.
        command.env("MERCURIO_KEY_CACHE_SECONDS", "0");
        // The clients read without a pause, and 503 must be their only refusal.
        let server = Server::with(command.env("MERCURIO_READS_PER_SECOND", "0"));
        Self { database, url, key: key.expose().to_owned(), server }
    }

    fn restart_database(&self) {
        self.database.stop();
        self.database.resume();
    }

    fn end_sessions(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'mercurio'";
        let output =
            Command::new("psql").args(["-qXc", sql]).arg(self.database.url()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Clients that send and read, and the answers they got.
struct Load<'a> {
    deployment: &'a Deployment,
    is_over: AtomicBool,
    /// Number of answers by path and status.
    answers: Mutex<BTreeMap<(&'static str, u16), usize>>,
    /// Signals an answer to a write.
    answered: Condvar,
}

const WRITE: &str = "/v1/events/batch";

impl<'a> Load<'a> {
    /// Runs `disturb` under load and returns the number of acknowledged events.
    fn run(deployment: &'a Deployment, probes: bool, disturb: impl FnOnce(&Self)) -> usize {
        let (answers, answered) = (Mutex::default(), Condvar::new());
        let load = Self { deployment, is_over: false.into(), answers, answered };
        let acknowledged = std::thread::scope(|scope| {
            let load = &load;
            let writers: Vec<_> =
                (0..4).map(|number| scope.spawn(move || load.write(number))).collect();
            scope.spawn(|| load.read("/v1/events?limit=10"));
            scope.spawn(|| load.read("/v1/limits"));
            if probes {
                scope.spawn(|| load.read("/health/ready"));
            }
            // Ends the clients also when the test fails.
            let _stop = Stop(&load.is_over);
            disturb(load);
            load.is_over.store(true, Ordering::SeqCst);
            writers.into_iter().map(|writer| writer.join().unwrap()).sum()
        });
        let answers = load.answers.into_inner().unwrap();
        let unexpected = answers.keys().any(|(_, status)| ![200, 503].contains(status));
        assert!(!unexpected, "{answers:?}");
        acknowledged
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Sends batches, each until it gets a 200, and returns the number of acknowledged events.
    fn write(&self, client: usize) -> usize {
        let mut connection = Client::connect(self.deployment.server.addr).unwrap();
        let mut acknowledged = 0;
        for batch in 0.. {
            let ids: Vec<_> = (0..20).map(|event| format!("{client}-{batch}-{event}")).collect();
            while !self.is_over() {
                let answer = connection.batch(&ids, &self.deployment.key).unwrap();
                self.note(WRITE, answer.status);
                if answer.status == 200 {
                    acknowledged += ids.len();
                    break;
                }
            }
            if self.is_over() {
                break;
            }
        }
        acknowledged
    }

    fn read(&self, path: &'static str) {
        let mut connection = Client::connect(self.deployment.server.addr).unwrap();
        while !self.is_over() {
            let answer = connection.get(path, &self.deployment.key).unwrap();
            self.note(path, answer.status);
        }
    }

    fn note(&self, path: &'static str, status: u16) {
        *self.answers.lock().unwrap().entry((path, status)).or_default() += 1;
        if path == WRITE {
            self.answered.notify_one();
        }
    }

    /// Returns the number of writes answered with `status`.
    fn count(&self, status: u16) -> usize {
        self.answers.lock().unwrap().get(&(WRITE, status)).copied().unwrap_or(0)
    }

    /// Waits for `more` writes with `status`, and returns how long they took.
    #[track_caller]
    fn wait_for(&self, more: usize, status: u16) -> Duration {
        let (begun, wanted) = (Instant::now(), self.count(status) + more);
        while self.count(status) < wanted {
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.answers.lock().unwrap());
            // Not a loop without a pause: the server needs the processors. An answer between the
            // look and the wait costs a tenth of a second.
            let answers = self.answers.lock().unwrap();
            drop(self.answered.wait_timeout(answers, Duration::from_millis(100)).unwrap());
        }
        begun.elapsed()
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[track_caller]
fn check_stored(deployment: &Deployment, acknowledged: usize) {
    let store = mercurio_storage::open(&deployment.url, &StoreOptions::default()).unwrap();
    let stored = stored_ids(deployment.server.addr, &deployment.key).len();
    assert_eq!(check_counts(&*store), stored as u64);
    assert!(stored >= acknowledged, "{stored} of {acknowledged} acknowledged events are stored");
}

fn restart_under_load(probes: bool) {
    let deployment = Deployment::start();
    let acknowledged = Load::run(&deployment, probes, |load| {
        for _ in 0..3 {
            load.wait_for(20, 200);
            deployment.database.stop();
            load.wait_for(4, 503);
            deployment.database.resume();
            let recovery = load.wait_for(1, 200);
            assert!(recovery < RECOVERY, "{recovery:?}");
        }
    });
    check_stored(&deployment, acknowledged);
}

#[test]
fn restart_under_load_is_answered_503() {
    restart_under_load(false);
}

#[test]
fn restart_under_load_and_probes_is_answered_503() {
    restart_under_load(true);
}

#[test]
fn restarts_in_a_row_are_answered_503() {
    let deployment = Deployment::start();
    let acknowledged = Load::run(&deployment, false, |load| {
        for _ in 0..5 {
            deployment.restart_database();
            let recovery = load.wait_for(1, 200);
            assert!(recovery < RECOVERY, "{recovery:?}");
        }
    });
    check_stored(&deployment, acknowledged);
}

#[test]
fn ended_sessions_under_load_are_answered_503() {
    let deployment = Deployment::start();
    let acknowledged = Load::run(&deployment, false, |load| {
        for _ in 0..30 {
            // Any moment: between groups, in a statement, in a commit.
            deployment.end_sessions();
            load.wait_for(4, 200);
        }
    });
    check_stored(&deployment, acknowledged);
}

#[test]
fn idle_server_survives_restarts_without_a_probe() {
    let deployment = Deployment::start();
    let mut client = Client::connect(deployment.server.addr).unwrap();
    // Before the first restart no statement is prepared on any connection, later all of them are.
    for round in 0..3 {
        deployment.restart_database();
        // Each of these may be the first to use a broken connection.
        for path in ["/v1/events/0", "/v1/events", "/v1/limits", WRITE] {
            let begun = Instant::now();
            loop {
                let answer = if path == WRITE {
                    client.batch(&[round.to_string()], &deployment.key).unwrap()
                } else {
                    client.get(path, &deployment.key).unwrap()
                };
                // Before the first batch the event does not exist.
                if answer.status == 200 || (answer.status == 404 && round == 0) {
                    break;
                }
                assert_eq!(answer.status, 503, "{path}: {answer:?}");
                assert!(begun.elapsed() < RECOVERY, "{path}: {answer:?}");
            }
        }
    }
}

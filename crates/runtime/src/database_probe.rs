//! A probe of the database: whether it answers, whether its schema is compatible with this program,
//! and whether the program's role has its privileges.
//!
//! However often readiness is queried, the database is asked at most once a second, and for the
//! privileges once a minute.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use mercurio_domain::store::{Privileges, RowSecurity, SchemaState, Store, StoreError};
use mercurio_observability::{chain, context, keys};
use slog::{Logger, error, info, warn};
use tokio::sync::Mutex;

/// Maximum time for an answer of the database.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Lifetime of an answer: more frequent probes cost nothing.
const PING_LIFETIME: Duration = Duration::from_secs(1);
/// Interval between two looks at the privileges. Readers try row security again as often.
const PRIVILEGES_INTERVAL: Duration = Duration::from_secs(60);
/// The result without an answer.
const TIMED_OUT: Ping = Ping { available: false, latency: PING_TIMEOUT };

/// Asks the database, and caches its last answer.
pub struct DatabaseProbe(Arc<SharedProbe>);

struct SharedProbe {
    store: Arc<dyn Store>,
    last: Mutex<LastProbe>,
    /// Apart from `last`, which is locked while the database is asked.
    privileges: std::sync::Mutex<Privileges>,
}

struct LastProbe {
    asked_at: Instant,
    /// `None` before the first probe.
    ping: Option<Ping>,
    /// The last known state of the schema, or the error of the query. Only changes are logged.
    schema: Result<SchemaState, String>,
    privileges_at: Instant,
}

/// An answer of the database.
struct Answer {
    latency: Duration,
    schema: Result<SchemaState, StoreError>,
    /// `None` if they were not asked for, or unknown.
    privileges: Option<Privileges>,
}

/// The result of a probe.
#[derive(Debug, Clone, Copy)]
pub struct Ping {
    /// Whether the database answered with a usable schema.
    pub available: bool,
    /// Time until the answer.
    pub latency: Duration,
}

impl DatabaseProbe {
    /// Returns a probe that has not asked yet. `schema` and `privileges` were found, and logged, at
    /// start-up.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, schema: SchemaState, privileges: Privileges) -> Self {
        let now = Instant::now();
        let last = LastProbe { asked_at: now, ping: None, schema: Ok(schema), privileges_at: now };
        let (last, privileges) = (Mutex::new(last), std::sync::Mutex::new(privileges));
        Self(Arc::new(SharedProbe { store, last, privileges }))
    }

    /// Returns the privileges as last seen, at most a minute before the last probe.
    #[must_use]
    pub fn privileges(&self) -> Privileges {
        self.0.privileges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the database, unless an answer is less than a second old. Returns within 2 seconds.
    pub async fn ping(&self) -> Ping {
        let shared = Arc::clone(&self.0);
        // A task of its own: a request that ends early must not lose the answer for the others.
        let probing = tokio::spawn(async move { shared.ping().await });
        // The wait for another probe counts too.
        match tokio::time::timeout(PING_TIMEOUT, probing).await {
            Ok(Ok(ping)) => ping,
            Ok(Err(_)) | Err(_) => TIMED_OUT,
        }
    }
}

impl SharedProbe {
    async fn ping(&self) -> Ping {
        // A probe under way answers for this one too.
        let mut last = self.last.lock().await;
        if let Some(ping) = last.ping.filter(|_| last.asked_at.elapsed() < PING_LIFETIME) {
            return ping;
        }
        let (store, start) = (Arc::clone(&self.store), Instant::now());
        let asks_privileges = last.privileges_at.elapsed() >= PRIVILEGES_INTERVAL;
        // The store blocks, so the call must not run on an HTTP thread.
        let asked = tokio::task::spawn_blocking(move || {
            store.ping().ok()?;
            let latency = start.elapsed();
            // Another release may have migrated the database, or someone restored a backup.
            let schema = store.schema_state();
            let privileges = asks_privileges.then(|| store.privileges().ok()).flatten();
            Some(Answer { latency, schema, privileges })
        });
        let ping = match tokio::time::timeout(PING_TIMEOUT, asked).await {
            Ok(Ok(Some(Answer { latency, schema, privileges }))) => {
                self.record_privileges(privileges);
                Ping { available: last.record_schema(schema), latency }
            }
            // The database refused, or the blocking task panicked.
            Ok(_) => Ping { available: false, latency: start.elapsed() },
            // The blocking call continues, and its answer is ignored.
            Err(_) => TIMED_OUT,
        };
        if asks_privileges {
            last.privileges_at = Instant::now();
        }
        (last.asked_at, last.ping) = (Instant::now(), Some(ping));
        ping
    }

    /// Records the privileges, and logs a change.
    fn record_privileges(&self, found: Option<Privileges>) {
        let Some(found) = found else { return };
        let mut privileges = self.privileges.lock().unwrap_or_else(PoisonError::into_inner);
        log_privileges(&context::current(), &privileges, &found);
        *privileges = found;
    }
}

impl LastProbe {
    /// Records the state of the schema, and logs a change. Returns whether this program can use the
    /// schema.
    fn record_schema(&mut self, schema: Result<SchemaState, StoreError>) -> bool {
        let schema = schema.map_err(|error| chain(&error));
        if schema != self.schema {
            log_schema(&schema);
            self.schema = schema;
        }
        self.schema.as_ref().is_ok_and(SchemaState::is_usable)
    }
}

fn log_schema(schema: &Result<SchemaState, String>) {
    let log = context::current();
    match schema {
        Ok(SchemaState::Current) => info!(log, "schema compatible again"),
        Ok(compatible @ SchemaState::Compatible(_)) => log_newer_schema(&log, compatible),
        Ok(other) => {
            let migrations = slog::Serde(other.migrations().to_vec());
            error!(log, "schema incompatible"; keys::MIGRATIONS => migrations);
        }
        Err(reason) => error!(log, "schema check failed"; keys::ERROR => reason),
    }
}

/// Logs what changed between two looks at the privileges of the server's role. At start nothing is
/// known `before`.
pub fn log_privileges(log: &Logger, before: &Privileges, now: &Privileges) {
    let finding = now.row_security_finding();
    if finding != before.row_security_finding() {
        log_row_security(log, finding);
    }
    if now.missing == before.missing {
        return;
    }
    if now.missing.is_empty() {
        info!(log, "database privileges complete");
    } else {
        warn!(log, "database privileges missing";
            keys::PRIVILEGES => slog::Serde(now.missing.clone()),
            keys::ADVICE => "grant them to the role in DATABASE_URL: see \"Roles in PostgreSQL\" in docs/OPERATIONS.md");
    }
}

fn log_row_security(log: &Logger, finding: Option<RowSecurity>) {
    match finding {
        None => info!(log, "row security in force"),
        Some(state) => warn!(log, "row security not in force";
            keys::REASON => state.as_str(), keys::ADVICE => state.advice()),
    }
}

/// Logs the migrations of a newer release that are compatible with this program.
pub fn log_newer_schema(log: &Logger, schema: &SchemaState) {
    let migrations = slog::Serde(schema.migrations().to_vec());
    warn!(log, "newer schema accepted"; keys::MIGRATIONS => migrations);
}

#[cfg(test)]
mod tests {
    use mercurio_domain::testing::MemoryStore;
    use tokio::task::JoinHandle;

    use super::*;

    fn probe(store: &Arc<MemoryStore>) -> DatabaseProbe {
        let store = Arc::clone(store) as Arc<_>;
        DatabaseProbe::new(store, SchemaState::Current, Privileges::default())
    }

    fn ping(probe: &Arc<DatabaseProbe>) -> JoinHandle<bool> {
        let probe = Arc::clone(probe);
        tokio::spawn(async move { probe.ping().await.available })
    }

    #[tokio::test]
    async fn probe_behind_an_abandoned_one_is_answered_in_time() {
        let store = Arc::new(MemoryStore::default());
        store.ping_gate.close();
        let probe = probe(&store);
        let probe = Arc::new(probe);
        let abandoned = ping(&probe);
        while store.ping_gate.arrivals() == 0 {
            tokio::task::yield_now().await;
        }
        let (start, mut waiting) = (Instant::now(), ping(&probe));
        let half = tokio::time::timeout(PING_TIMEOUT / 2, &mut waiting).await;
        assert!(half.is_err(), "the database hangs");
        abandoned.abort();
        assert!(!waiting.await.unwrap());
        assert!(start.elapsed() < PING_TIMEOUT * 5 / 4, "{:?}", start.elapsed());
        store.ping_gate.open();
    }

    #[tokio::test]
    async fn probes_within_a_second_share_an_answer() {
        let store = Arc::new(MemoryStore::default());
        let probe = probe(&store);
        assert!(probe.ping().await.available);
        store.set_unavailable(true);
        assert!(probe.ping().await.available);
    }

    #[tokio::test]
    async fn privileges_are_looked_at_once_a_minute() {
        let store = Arc::new(MemoryStore::default());
        let probe = probe(&store);
        let found = Privileges {
            missing: vec!["INSERT on events".to_owned()],
            row_security: Some(RowSecurity::NotGranted),
        };
        store.set_privileges(found.clone());
        assert!(probe.ping().await.available);
        assert_eq!(probe.privileges(), Privileges::default(), "within a minute");
        // Moves the last looks into the past, instead of waiting a minute.
        let past = Instant::now().checked_sub(PRIVILEGES_INTERVAL).unwrap();
        let mut last = probe.0.last.lock().await;
        (last.asked_at, last.privileges_at) = (past, past);
        drop(last);
        assert!(probe.ping().await.available);
        assert_eq!(probe.privileges(), found);
    }
}

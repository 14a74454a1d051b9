//! A probe of the database: whether it answers, and whether its schema is compatible with this program.
//!
//! However often readiness is queried, the database is asked at most once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mercurio_domain::store::{SchemaState, Store, StoreError};
use mercurio_observability::{chain, context, keys};
use slog::{error, info, warn};
use tokio::sync::Mutex;

/// Maximum time for an answer of the database.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Lifetime of an answer: more frequent probes cost nothing.
const PING_LIFETIME: Duration = Duration::from_secs(1);

/// Asks the database, and caches its last answer.
pub struct DatabaseProbe {
    store: Arc<dyn Store>,
    last: Mutex<LastProbe>,
}

struct LastProbe {
    asked_at: Instant,
    /// `None` before the first probe.
    ping: Option<Ping>,
    /// The last known state of the schema, or the error of the query. Only changes are logged.
    schema: Result<SchemaState, String>,
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
    /// Returns a probe that has not asked yet. `schema` is the state found, and logged, at start-up.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, schema: SchemaState) -> Self {
        let last = LastProbe { asked_at: Instant::now(), ping: None, schema: Ok(schema) };
        Self { store, last: Mutex::new(last) }
    }

    /// Asks the database, unless an answer is less than a second old. Returns within 2 seconds, or
    /// within 4 if it first waits for another probe.
    pub async fn ping(&self) -> Ping {
        let timed_out = Ping { available: false, latency: PING_TIMEOUT };
        // A probe under way answers for this one too, unless its request ends early.
        let Ok(mut last) = tokio::time::timeout(PING_TIMEOUT, self.last.lock()).await else {
            return timed_out;
        };
        if let Some(ping) = last.ping.filter(|_| last.asked_at.elapsed() < PING_LIFETIME) {
            return ping;
        }
        let (store, start) = (Arc::clone(&self.store), Instant::now());
        // The store blocks, so the call must not run on an HTTP thread.
        let asked = tokio::task::spawn_blocking(move || {
            let latency = store.ping().map(|()| start.elapsed());
            // Another release may have migrated the database, or someone restored a backup.
            latency.ok().map(|latency| (latency, store.schema_state()))
        });
        let ping = match tokio::time::timeout(PING_TIMEOUT, asked).await {
            Ok(Ok(Some((latency, schema)))) => {
                Ping { available: last.record_schema(schema), latency }
            }
            // The database refused, or the blocking task panicked.
            Ok(_) => Ping { available: false, latency: start.elapsed() },
            // The blocking call continues, and its answer is ignored.
            Err(_) => timed_out,
        };
        (last.asked_at, last.ping) = (Instant::now(), Some(ping));
        ping
    }
}

impl LastProbe {
    /// Records the state of the schema, and logs a change. Returns whether this program can use the schema.
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

/// Logs the migrations of a newer release that are compatible with this program.
pub fn log_newer_schema(log: &slog::Logger, schema: &SchemaState) {
    let migrations = slog::Serde(schema.migrations().to_vec());
    warn!(log, "newer schema accepted"; keys::MIGRATIONS => migrations);
}

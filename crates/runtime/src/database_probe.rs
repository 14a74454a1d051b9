//! What the database says when it is asked whether events can be stored: whether it answers, and whether its schema is one that this
//! program may work with. Asked at most once a second, however often others ask here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mercurio_domain::store::{SchemaState, Store, StoreError};
use mercurio_observability::{chain, context, keys};
use slog::{error, info, warn};
use tokio::sync::Mutex;

/// How long the database may take to answer before it counts as away.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer of the database is good for: probes that come more often cost nothing.
const PING_LIFETIME: Duration = Duration::from_secs(1);

/// Asks the database, and remembers for a while what it said.
pub struct DatabaseProbe {
    store: Arc<dyn Store>,
    last: Mutex<Last>,
}

/// What the database said when it was last asked.
struct Last {
    ping: Option<(Instant, Ping)>,
    /// How its schema stood to this program's, or why it did not say.
    schema: Result<SchemaState, String>,
}

/// An answer of the database with a schema of which this program can make use, or that there was none.
#[derive(Debug, Clone, Copy)]
pub struct Ping {
    /// Whether there was one.
    pub available: bool,
    /// How long it took.
    pub latency: Duration,
}

impl DatabaseProbe {
    /// A probe that has not asked yet. `schema` is what the database's is known to be, and told of already.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, schema: SchemaState) -> Self {
        Self { store, last: Mutex::new(Last { ping: None, schema: Ok(schema) }) }
    }

    /// Asks the database, unless it was asked within the last second. Never takes longer than the timeout of a ping.
    pub async fn ping(&self) -> Ping {
        let away = Ping { available: false, latency: PING_TIMEOUT };
        // Whoever waits for another's question waits no longer than for one of its own.
        let Ok(mut last) = tokio::time::timeout(PING_TIMEOUT, self.last.lock()).await else {
            return away;
        };
        if let Some((at, ping)) = last.ping
            && at.elapsed() < PING_LIFETIME
        {
            return ping;
        }
        let (store, start) = (Arc::clone(&self.store), Instant::now());
        let asked = tokio::task::spawn_blocking(move || {
            let answered = store.ping().map(|()| start.elapsed());
            // Another release may have migrated it since, or somebody restored an old copy.
            answered.ok().map(|latency| (latency, store.schema_state()))
        });
        let ping = match tokio::time::timeout(PING_TIMEOUT, asked).await {
            Ok(Ok(Some((latency, schema)))) => Ping { available: last.take_in(schema), latency },
            Ok(_) => Ping { available: false, latency: start.elapsed() },
            Err(_) => away,
        };
        last.ping = Some((Instant::now(), ping));
        ping
    }
}

impl Last {
    /// Remembers how the schema stands and logs where that is new. Returns whether this program may work with it.
    fn take_in(&mut self, schema: Result<SchemaState, StoreError>) -> bool {
        let schema = schema.map_err(|error| chain(&error));
        if schema != self.schema {
            tell(&schema);
            self.schema = schema;
        }
        self.schema.as_ref().is_ok_and(SchemaState::is_usable)
    }
}

fn tell(schema: &Result<SchemaState, String>) {
    let log = context::current();
    match schema {
        Ok(SchemaState::Current) => {
            info!(log, "the schema of the database is this program's again")
        }
        Ok(compatible @ SchemaState::Compatible(_)) => log_compatible_schema(&log, compatible),
        Ok(other) => {
            let migrations = slog::Serde(other.migrations().to_vec());
            error!(log, "the schema of the database is not this program's"; keys::MIGRATIONS => migrations);
        }
        Err(reason) => {
            error!(log, "the database does not say which schema it has"; keys::ERROR => reason);
        }
    }
}

/// Logs that a newer release has been at the database, and that this one goes on.
pub fn log_compatible_schema(log: &slog::Logger, schema: &SchemaState) {
    let migrations = slog::Serde(schema.migrations().to_vec());
    warn!(log, "the database was migrated by a newer release, and this one can go on with it"; keys::MIGRATIONS => migrations);
}

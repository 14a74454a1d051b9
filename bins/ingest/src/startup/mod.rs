//! From the environment to a server that serves, and back to a process that has ended.
//!
//! The only place that names the concrete store. The order: settings, log, database, schema, first run, writer, sockets;
//! and at the end: not ready, sockets, requests, writer, log.

mod first_run;
mod observer;
mod probe;
mod signals;

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::Data;
use mercurio_config::{Config, ConfigError, Setting};
use mercurio_domain::Clock;
use mercurio_domain::ids::IdGenerator;
use mercurio_domain::store::{Backend, LockWait, SchemaState, Store, StoreError};
use mercurio_domain::verdict::FieldErrorCode;
use mercurio_enrichment::{Enricher, EnricherOptions, GeoDatabase};
use mercurio_observability::logger::LogGuard;
use mercurio_observability::metrics::MetricSettings;
use mercurio_observability::{
    LogFormat, LogOutput, LogSettings, Metrics, TraceError, TraceSettings, Traces, chain, context,
    keys, log_bridge, logger, panic_hook,
};
use mercurio_pipeline::GroupWriter;
use mercurio_storage::StoreOptions;
use slog::{Logger, info, warn};

use mercurio_api::app::app;
use mercurio_api::routes::Surface;
use mercurio_api::state::AppState;
use mercurio_api::transport::{Options, Servers};
use mercurio_rate_limit::{RateLimits, RedisUrl, SharedBuckets};
use mercurio_runtime::catalog_follower::CatalogWatch;
use mercurio_runtime::count_worker::{CountWorker, SummedAt};
use mercurio_runtime::database_probe::{DatabaseProbe, log_compatible_schema};
use mercurio_runtime::key_cache::KeyCache;
use mercurio_runtime::key_uses::KeyUses;
use mercurio_runtime::lifecycle::Lifecycle;
use mercurio_runtime::quota_usage::{QuotaUsage, QuotaUsageOptions};
use mercurio_runtime::rejection_log::RejectionLog;
use mercurio_runtime::retention::{Retention, RetentionCounts};
use mercurio_runtime::system::{SystemClock, UuidV7Ids};

pub use observer::LogObserver;
pub use probe::{NotReady, probe};
use signals::Stop;

/// How long a process that ends waits for a collector to take its last spans.
const TRACES_GRACE: Duration = Duration::from_secs(2);

/// Why a server did not start, or did not end as it should. Each has an exit code of its own.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database's schema is not this program's.
    #[error("{0}")]
    Schema(String),
    /// The store failed.
    #[error("the database can't be used")]
    Store(#[from] StoreError),
    /// The file of places can't be read.
    #[error("MERCURIO_GEOIP_DB can't be used: {0}")]
    GeoIp(String),
    /// Traces can't be sent.
    #[error(transparent)]
    Traces(#[from] TraceError),
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Entropy(String),
    /// A socket or a thread could not be had.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The grace was over before everything was finished.
    #[error(
        "stopped before everything was finished: some requests got no answer and may be repeated"
    )]
    GraceOver,
}

impl StartError {
    /// The exit code, from `sysexits.h` where it has one.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 64,
            Self::Store(StoreError::Unavailable(_)) => 69,
            Self::Schema(_) => 78,
            Self::Store(_)
            | Self::GeoIp(_)
            | Self::Traces(_)
            | Self::Entropy(_)
            | Self::Io { .. }
            | Self::GraceOver => 1,
        }
    }
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// Why it did not start, or did not end as it should.
pub fn run(config: Config) -> Result<(), StartError> {
    let terminal = std::io::stdout().is_terminal();
    let format =
        config.log_format.unwrap_or(if terminal { LogFormat::Terminal } else { LogFormat::Json });
    let (log, guard) = logger::build(LogSettings::new(format, config.log_level), LogOutput::Stdout);
    context::set_root(log.clone());
    log_bridge::install(log.clone()).ok();
    panic_hook::install(log.clone());
    let result =
        actix_web::rt::System::new().block_on(serve(config, log.clone(), &guard, terminal));
    if let Err(error) = &result {
        slog::error!(log, "the server stops"; keys::ERROR => chain(error));
    }
    drop(log);
    drop(guard);
    result
}

async fn serve(
    config: Config,
    log: Logger,
    guard: &LogGuard,
    terminal: bool,
) -> Result<(), StartError> {
    // Before anything is promised: from here on a signal to stop is heard.
    let mut stop = Stop::listen()?;
    signals::follow(guard.level(), log.clone())?;
    let in_force = SettingsInForce(config.in_force.clone());
    info!(log, "settings in force"; keys::SETTINGS => slog::Serde(in_force), keys::VERSION => env!("CARGO_PKG_VERSION"));
    let (store, schema) = open_store(&config, &log)?;
    let first_key = first_run::provision_if_empty(store.as_ref(), SystemClock.now())?;
    let metrics = Metrics::with(&MetricSettings {
        max_tenants: config.metrics_tenants,
        rejection_codes: FieldErrorCode::ALL.iter().map(|code| code.as_str()).collect(),
    });
    metrics.track_dropped_lines(guard.dropped_lines());
    let observer = Arc::new(LogObserver::new(log.clone(), Arc::clone(&metrics)));
    let writer = GroupWriter::start(Arc::clone(&store) as Arc<_>, &config.writer, observer)
        .map_err(|source| StartError::Io {
            what: "the writer's threads can't be started".to_owned(),
            source,
        })?;
    let enricher =
        Enricher::new(EnricherOptions { client_ip: config.client_ip, geo: open_geo(&config)? });
    let keys = KeyCache::new(Arc::clone(&store), config.key_cache);
    let key_uses = Arc::new(KeyUses::default());
    let watch =
        CatalogWatch::start(Arc::clone(&store), keys.clone(), Arc::clone(&key_uses), log.clone())
            .map_err(|source| StartError::Io {
            what: "the thread that watches the catalogue can't be started".to_owned(),
            source,
        })?;
    let removed = Arc::new(RetentionCounts::default());
    let retention = start_retention(&store, &config, Arc::clone(&removed), &log)?;
    let counts_summed_at = Arc::new(SummedAt::default());
    let counts = start_counts(&store, Arc::clone(&counts_summed_at), &log)?;
    let shared = config.redis_url.clone().map(|url| share_limits(url, &config, &log));
    let state = Data::new(AppState {
        writer: writer.handle(),
        keys,
        key_uses,
        rate_limits: RateLimits::new(shared.clone()),
        database: DatabaseProbe::new(Arc::clone(&store), schema),
        enricher,
        clock: Arc::new(SystemClock),
        ids: Arc::new(UuidV7Ids),
        metrics,
        traces: start_traces(&config, &log)?.map(Arc::new),
        retention: removed,
        quota_usage: start_quota_usage(&store, &config)?,
        store,
        counts_summed_at,
        rejection_log: RejectionLog::new(config.log_rejections_per_second),
        settings: config.settings.clone(),
        lifecycle: Lifecycle::default(),
    });
    let warm = state.clone();
    std::thread::spawn(move || warm.enricher.warm_up());
    let (servers, addrs) = listen(&config, &state, &log)?;
    for addr in &addrs {
        info!(log, "listening"; keys::ADDR => addr.to_string(), keys::VERSION => env!("CARGO_PKG_VERSION"));
    }
    if let (Some(key), Some(addr)) = (first_key, addrs.first()) {
        first_run::greet(&mut std::io::stderr().lock(), &key, *addr, terminal).ok();
    }
    let gently = stop.told().await;
    drop(retention);
    drop(counts);
    let stopped = shut_down(&config, &state, &log, servers, &writer, (&mut stop, gently)).await;
    if let Some(shared) = shared {
        shared.close();
    }
    drop(watch);
    if let Some(traces) = &state.traces {
        traces.close(TRACES_GRACE);
    }
    stopped
}

/// Starts what sends traces, if they go anywhere.
fn start_traces(config: &Config, log: &Logger) -> Result<Option<Traces>, StartError> {
    let Some(endpoint) = &config.trace_endpoint else {
        return Ok(None);
    };
    let settings = TraceSettings {
        endpoint: endpoint.to_string(),
        sample_ratio: config.trace_sample_ratio,
        service_name: env!("CARGO_PKG_NAME"),
        service_version: env!("CARGO_PKG_VERSION"),
    };
    Ok(Some(Traces::start(&settings, log.clone())?))
}

fn start_retention(
    store: &Arc<dyn Store>,
    config: &Config,
    counts: Arc<RetentionCounts>,
    log: &Logger,
) -> Result<Retention, StartError> {
    Retention::start(
        Arc::clone(store),
        Arc::new(SystemClock),
        config.settings.limits,
        counts,
        log.clone(),
    )
    .map_err(|source| StartError::Io {
        what: "the thread that removes old events can't be started".to_owned(),
        source,
    })
}

/// Starts the thread that sums the log of counts. SQLite has no log.
fn start_counts(
    store: &Arc<dyn Store>,
    summed_at: Arc<SummedAt>,
    log: &Logger,
) -> Result<Option<CountWorker>, StartError> {
    if store.backend() == Backend::Sqlite {
        return Ok(None);
    }
    CountWorker::start(Arc::clone(store), Arc::new(SystemClock), summed_at, log.clone())
        .map(Some)
        .map_err(|source| StartError::Io {
            what: "the thread that sums counts can't be started".to_owned(),
            source,
        })
}

fn start_quota_usage(store: &Arc<dyn Store>, config: &Config) -> Result<QuotaUsage, StartError> {
    let options =
        QuotaUsageOptions { max_ratios: config.metrics_tenants, ..QuotaUsageOptions::default() };
    QuotaUsage::start(Arc::clone(store) as Arc<_>, options).map_err(|source| StartError::Io {
        what: "the thread that reads the usage of quotas can't be started".to_owned(),
        source,
    })
}

/// Starts the task that reaches Redis.
fn share_limits(url: RedisUrl, config: &Config, log: &Logger) -> Arc<SharedBuckets> {
    let shared = Arc::new(SharedBuckets::new(config.redis_timeout, log.clone()));
    let server_id = UuidV7Ids.next_uuid().to_string();
    actix_web::rt::spawn(Arc::clone(&shared).keep(url, server_id));
    shared
}

/// The store, and how its schema stands to this program's, which is that it may work with it.
fn open_store(config: &Config, log: &Logger) -> Result<(Arc<dyn Store>, SchemaState), StartError> {
    let store = mercurio_storage::open(&config.database_url, &StoreOptions::default())?;
    // SQLite belongs to this process; PostgreSQL may serve others, and is changed only by leave.
    if store.backend() == Backend::Sqlite || config.auto_migrate {
        let mut tell =
            |wait: &LockWait| warn!(log, "a migration waits"; keys::ERROR => wait.to_string());
        for migration in store.migrate_reporting(&mut tell)? {
            info!(log, "migrated the database"; keys::MIGRATION => migration);
        }
    }
    match store.schema_state()? {
        SchemaState::Current => Ok((store, SchemaState::Current)),
        compatible @ SchemaState::Compatible(_) => {
            log_compatible_schema(log, &compatible);
            Ok((store, compatible))
        }
        SchemaState::Older(missing) => Err(StartError::Schema(format!(
            "the database lacks {} migration(s), from {} on: run `mercurio-admin migrate`, or set MERCURIO_AUTO_MIGRATE=true",
            missing.len(),
            missing.first().map_or("?", String::as_str),
        ))),
        SchemaState::Newer(unknown) => Err(StartError::Schema(format!(
            "the database was migrated by a newer release, with which this one can't share it: it has {}. Use that release",
            unknown.join(", ")
        ))),
    }
}

fn open_geo(config: &Config) -> Result<Option<GeoDatabase>, StartError> {
    let Some(path) = &config.geoip_db else {
        return Ok(None);
    };
    let shown = path.display();
    let bytes =
        std::fs::read(path).map_err(|error| StartError::GeoIp(format!("{shown}: {error}")))?;
    GeoDatabase::from_bytes(bytes)
        .map(Some)
        .map_err(|error| StartError::GeoIp(format!("{shown}: {}", chain(&error))))
}

/// Listens at every address, and returns where, the one for clients first.
fn listen(
    config: &Config,
    state: &Data<AppState>,
    log: &Logger,
) -> Result<(Servers, Vec<SocketAddr>), StartError> {
    let mut surfaces = vec![(config.addr, Surface::Whole)];
    if let Some(management) = config.management_addr {
        surfaces = vec![(config.addr, Surface::Public), (management, Surface::Management)];
    }
    let mut options = Options { shutdown_timeout: config.shutdown_grace, ..Options::default() };
    // Nothing that the settings allow a request to take is cut off.
    let longest =
        config.settings.request_timeout + config.settings.commit_timeout + options.keep_alive;
    options.answer_timeout = options.answer_timeout.max(longest);
    options.workers = config.http_threads.unwrap_or(options.workers);
    let (mut servers, mut addrs) = (Servers::default(), Vec::new());
    for (addr, surface) in surfaces {
        let (app_state, app_log) = (state.clone(), log.clone());
        let app = move || app(app_state.clone(), app_log.clone(), surface);
        let bound = servers.start(addr, options.clone(), Arc::clone(&state.metrics), app).map_err(
            |source| StartError::Io { what: format!("{addr} can't be listened to"), source },
        )?;
        addrs.push(bound);
    }
    Ok((servers, addrs))
}

/// Not ready at once; then no new connections; then the requests that came; then the writer.
async fn shut_down(
    config: &Config,
    state: &Data<AppState>,
    log: &Logger,
    servers: Servers,
    writer: &GroupWriter,
    (stop, gently): (&mut Stop, bool),
) -> Result<(), StartError> {
    state.lifecycle.drain();
    info!(log, "told to stop"; keys::QUEUE_DEPTH => state.writer.depth().events);
    if gently {
        // Whoever balances load asks for readiness now and then, and goes on sending until it has heard.
        // Told a second time, it waits no longer.
        tokio::time::timeout(config.shutdown_delay, stop.told()).await.ok();
    }
    let deadline = Instant::now() + config.shutdown_grace;
    let stopped = tokio::time::timeout(config.shutdown_grace, servers.stop()).await.is_ok();
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
    // Nothing else runs on this thread any more.
    let drained = writer.close(left);
    if stopped && drained {
        info!(log, "stopped");
        return Ok(());
    }
    warn!(log, "the grace is over"; keys::QUEUE_DEPTH => state.writer.depth().events);
    Err(StartError::GraceOver)
}

/// An address to send to: one that listens everywhere is reached on this machine.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, addr.port())
}

/// The settings as an object: name and value, secrets hidden.
#[derive(Clone)]
struct SettingsInForce(Vec<Setting>);

impl serde::Serialize for SettingsInForce {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|setting| (setting.name, &setting.value)))
    }
}

//! The life of a server process, from its settings to its end.
//!
//! Start: log, signals, settings, sockets, files, traces, database, writer, background threads,
//! Redis, first run, requests. Whatever can fail comes before the first run, which makes a key and
//! shows it once; requests come last, so the first one finds a complete server. End: retention and
//! counts, sockets, writer, rejections, Redis, uses of keys, traces.

mod database;
mod error;
mod first_run;
mod shutdown;
mod signals;
mod sockets;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use actix_web::web::Data;
use mercurio_api::body::Bodies;
use mercurio_api::state::AppState;
use mercurio_config::{Config, SettingsByName, Source};
use mercurio_domain::ids::IdGenerator;
use mercurio_domain::store::{Backend, Store};
use mercurio_domain::verdict::FieldErrorCode;
use mercurio_enrichment::{Enricher, EnricherOptions, GeoDatabase};
use mercurio_observability::logger::LogGuard;
use mercurio_observability::metrics::MetricSettings;
use mercurio_observability::{
    LogFormat, LogOutput, LogSettings, Metrics, TraceSettings, Traces, chain, context, keys,
    log_bridge, logger, panic_hook,
};
use mercurio_pipeline::GroupWriter;
use mercurio_rate_limit::{RateLimits, SharedBuckets};
use mercurio_runtime::RequestSettings;
use mercurio_runtime::catalog_follower::CatalogFollower;
use mercurio_runtime::count_worker::{CountWorker, SummedAt};
use mercurio_runtime::database_probe::DatabaseProbe;
use mercurio_runtime::key_cache::KeyCache;
use mercurio_runtime::key_uses::KeyUses;
use mercurio_runtime::lifecycle::Lifecycle;
use mercurio_runtime::quota_usage::{QuotaUsage, QuotaUsageOptions};
use mercurio_runtime::reads::{ReadOptions, Reads};
use mercurio_runtime::refusal_log::RefusalLog;
use mercurio_runtime::rejection_log::RejectionLog;
use mercurio_runtime::rejection_recorder::RejectionRecorder;
use mercurio_runtime::retention::{RetentionCounts, RetentionOptions, RetentionWorker};
use mercurio_runtime::system::{SystemClock, UuidV7Ids};
use mercurio_runtime::tail::{TailHub, TailSender};
use mercurio_runtime::writer_observer::LogObserver;
use slog::{Logger, error, info, warn};

use database::Database;
pub(crate) use error::StartError;
use signals::StopSignals;
use sockets::Socket;

/// Maximum time to write the last rejections.
const REJECTIONS_GRACE: Duration = Duration::from_secs(2);
/// Maximum time to send the last spans.
const TRACES_GRACE: Duration = Duration::from_secs(2);
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// From the build script; `None` if it is unknown.
const COMMIT: Option<&str> = option_env!("BUILD_COMMIT");

/// Runs the server until a signal stops it.
///
/// # Errors
/// The server did not start, or did not stop in order.
pub(crate) fn run(config: Config) -> Result<(), StartError> {
    let format = log_format(&config);
    let (log, guard) = logger::build(LogSettings::new(format, config.log_level), LogOutput::Stdout);
    // For threads and tasks without a request.
    context::set_root(log.clone());
    // Fails only if another logger is installed, which a process does once.
    log_bridge::install(log.clone()).ok();
    panic_hook::install(log.clone());
    let server = serve(config, log.clone(), &guard);
    let result = actix_web::rt::System::new().block_on(server);
    // `main` prints it too, for a person to the same terminal.
    if let (Err(error), false) = (&result, is_read_by_a_person()) {
        error!(log, "server failed"; keys::ERROR => chain(error));
    }
    // The guard flushes the queue of lines, so every logger must be gone.
    drop(log);
    drop(guard);
    result
}

async fn serve(config: Config, log: Logger, guard: &LogGuard) -> Result<(), StartError> {
    // First, so that a signal during a long migration is not lost.
    let mut stop_signals = StopSignals::listen()?;
    signals::handle_others(guard.level(), log.clone())?;
    // A person sees the greeting first, and the log below.
    let has_first_run = config.database_url.backend() == Backend::Sqlite;
    let held = (has_first_run && is_read_by_a_person()).then(|| guard.hold());
    log_settings(&config, &log);

    let sockets = sockets::bind(&config)?;
    let geo = open_geo(&config)?;
    let traces = start_traces(&config, &log)?.map(Arc::new);
    let Database { store, schema, privileges } = database::open(&config, &log)?;

    let metrics = Metrics::with(&MetricSettings {
        max_tenants: config.metrics_tenants,
        // Every code starts at zero, so that `rate()` sees its first increase.
        rejection_codes: FieldErrorCode::ALL.iter().map(|code| code.as_str()).collect(),
    });
    metrics.track_dropped_lines(guard.dropped_lines());
    let observer = LogObserver { log: log.clone(), metrics: Arc::clone(&metrics) };
    let writer =
        GroupWriter::start(Arc::clone(&store) as Arc<_>, &config.writer, Arc::new(observer))
            .map_err(|source| StartError::io("cannot start the writer threads", source))?;

    let keys = KeyCache::new(Arc::clone(&store), config.key_cache);
    let key_uses = Arc::new(KeyUses::default());
    let tails = TailHub::new(UuidV7Ids.next_uuid().to_string(), config.tails.clone());
    let follower = CatalogFollower::start(
        Arc::clone(&store),
        keys.clone(),
        Arc::clone(&key_uses),
        tails.clone(),
        log.clone(),
    )
    .map_err(|source| StartError::io("cannot start the catalog thread", source))?;
    let tail_sender = start_tail_sender(&store, &tails, &log)?;
    let retention_counts = Arc::new(RetentionCounts::default());
    let retention = RetentionWorker::start(
        Arc::clone(&store),
        Arc::new(SystemClock),
        RetentionOptions { limits: config.settings.limits, rejection_days: config.rejection_days },
        Arc::clone(&retention_counts),
        log.clone(),
    )
    .map_err(|source| StartError::io("cannot start the retention thread", source))?;
    let counts_summed_at = Arc::new(SummedAt::default());
    let count_worker = start_count_worker(&store, Arc::clone(&counts_summed_at), &log)?;
    let quota_usage = QuotaUsage::start(
        Arc::clone(&store) as Arc<_>,
        QuotaUsageOptions { max_ratios: config.metrics_tenants, ..QuotaUsageOptions::default() },
    )
    .map_err(|source| StartError::io("cannot start the quota thread", source))?;
    let RequestSettings { body_memory_bytes, decode_threads, .. } = config.settings;
    let bodies = Bodies::start(body_memory_bytes, decode_threads)
        .map_err(|source| StartError::io("cannot start the decoding threads", source))?;
    let rejections = start_rejections(&config, &store, &log)?;
    let redis = connect_redis(&config, &log);

    let state = Data::new(AppState {
        bodies,
        writer: writer.handle(),
        keys,
        key_uses,
        rate_limits: RateLimits::new(redis.as_ref().map(|redis| Arc::clone(&redis.buckets))),
        reads: Reads::new(&ReadOptions::default()),
        tails,
        database: DatabaseProbe::new(Arc::clone(&store), schema, privileges),
        store: Arc::clone(&store),
        enricher: Enricher::new(EnricherOptions { client_ip: config.client_ip, geo }),
        clock: Arc::new(SystemClock),
        ids: Arc::new(UuidV7Ids),
        metrics,
        traces,
        retention: retention_counts,
        quota_usage,
        counts_summed_at,
        refusals: Arc::new(RefusalLog::new(config.log_refusals_per_second)),
        rejection_log: RejectionLog::new(config.log_rejections_per_second),
        rejections: rejections.handle(),
        settings: config.settings.clone(),
        lifecycle: Lifecycle::default(),
    });
    // Compiling the patterns of user agents takes longer than a request should.
    let warm = state.clone();
    std::thread::spawn(move || warm.enricher.warm_up());

    if let Some(links) = sockets::links(&sockets, &config.settings).filter(|_| has_first_run) {
        first_run::begin(&config, store.as_ref(), links, &log)?;
    }
    drop(held);
    let addrs: Vec<_> = sockets.iter().filter_map(Socket::addr).collect();
    let servers = sockets::serve(sockets, &config, &state, &log)?;
    for addr in addrs {
        info!(log, "listening"; keys::ADDR => addr.to_string(), keys::VERSION => VERSION,
            keys::COMMIT => COMMIT);
    }

    let signal = stop_signals.next().await;
    // First: neither starts new work, and another server can take their leases.
    drop(retention);
    drop(count_worker);
    let result =
        shutdown::shut_down(&config, &state, &log, servers, &writer, &mut stop_signals, signal)
            .await;
    if !rejections.close(REJECTIONS_GRACE) {
        warn!(log, "last rejections not stored");
    }
    if let Some(redis) = redis {
        // Before leaving: its heartbeat would announce this server again.
        redis.task.abort();
        redis.buckets.leave().await;
    }
    drop(tail_sender);
    // Writes the last uses of keys.
    drop(follower);
    if let Some(traces) = &state.traces {
        traces.close(TRACES_GRACE);
    }
    result
}

/// Whether a person reads both outputs: the log on stdout and the greeting on stderr.
fn is_read_by_a_person() -> bool {
    std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
}

fn log_format(config: &Config) -> LogFormat {
    let is_terminal = std::io::stdout().is_terminal();
    config.log_format.unwrap_or(if is_terminal { LogFormat::Terminal } else { LogFormat::Json })
}

/// A person reads only the settings that differ from the defaults.
fn log_settings(config: &Config, log: &Logger) {
    let mut settings = config.in_force.clone();
    if log_format(config) == LogFormat::Terminal {
        settings.retain(|setting| setting.source != Source::Default);
    }
    let settings = slog::Serde(SettingsByName(settings));
    info!(log, "settings loaded"; keys::SETTINGS => settings, keys::VERSION => VERSION,
        keys::COMMIT => COMMIT);
}

/// Starts the thread that sums `count_log`. SQLite has no log.
fn start_count_worker(
    store: &Arc<dyn Store>,
    summed_at: Arc<SummedAt>,
    log: &Logger,
) -> Result<Option<CountWorker>, StartError> {
    if store.backend() == Backend::Sqlite {
        return Ok(None);
    }
    CountWorker::start(Arc::clone(store), Arc::new(SystemClock), summed_at, log.clone())
        .map(Some)
        .map_err(|source| StartError::io("cannot start the count thread", source))
}

/// Starts the thread that sends texts about live tails. One process writes to a SQLite file, so
/// there is no other server.
fn start_tail_sender(
    store: &Arc<dyn Store>,
    tails: &TailHub,
    log: &Logger,
) -> Result<Option<TailSender>, StartError> {
    if store.backend() == Backend::Sqlite {
        return Ok(None);
    }
    TailSender::start(Arc::clone(store), tails.clone(), log.clone())
        .map(Some)
        .map_err(|source| StartError::io("cannot start the tail thread", source))
}

/// Starts the thread that keeps rejected events, unless they are kept for no time.
fn start_rejections(
    config: &Config,
    store: &Arc<dyn Store>,
    log: &Logger,
) -> Result<RejectionRecorder, StartError> {
    let bounds = (config.rejection_days > 0).then_some(config.rejections);
    let store = Arc::clone(store) as Arc<_>;
    RejectionRecorder::start(store, bounds, Arc::new(UuidV7Ids), log.clone())
        .map_err(|source| StartError::io("cannot start the rejections thread", source))
}

/// The connection to Redis.
struct Redis {
    buckets: Arc<SharedBuckets>,
    task: JoinHandle<()>,
}

/// Starts the task that connects to Redis, if it is set. The start does not wait for Redis: without
/// it, the server limits on its own.
fn connect_redis(config: &Config, log: &Logger) -> Option<Redis> {
    let url = config.redis_url.clone()?;
    // A new one at each start: the old entry expires by itself.
    let server_id = UuidV7Ids.next_uuid().to_string();
    let buckets = Arc::new(SharedBuckets::new(server_id, config.redis_timeout, log.clone()));
    let task = actix_web::rt::spawn(Arc::clone(&buckets).run(url));
    Some(Redis { buckets, task })
}

/// Starts the thread that sends traces, if an endpoint is set.
fn start_traces(config: &Config, log: &Logger) -> Result<Option<Traces>, StartError> {
    let Some(endpoint) = &config.trace_endpoint else {
        return Ok(None);
    };
    let settings = TraceSettings {
        endpoint: endpoint.to_string(),
        sample_ratio: config.trace_sample_ratio,
        service_name: env!("CARGO_PKG_NAME"),
        service_version: VERSION,
    };
    Ok(Some(Traces::start(&settings, log.clone())?))
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

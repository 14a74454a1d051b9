//! The settings of a server: name, unit, range and default of each, in the order of output.

mod addresses;
mod requests;

use std::path::PathBuf;
use std::time::Duration;

use mercurio_domain::hints::nearest;
use mercurio_domain::store::Backend;
use mercurio_enrichment::ClientIpPolicy;
use mercurio_observability::{LogFormat, LogLevel, OtlpEndpoint};
use mercurio_pipeline::WriterOptions;
use mercurio_rate_limit::RedisUrl;
use mercurio_runtime::RequestSettings;
use mercurio_runtime::rejection_recorder::RejectionBounds;
use mercurio_storage::DatabaseUrl;

use addresses::Addresses;
use requests::request_settings;

use crate::address::ListenAddress;
use crate::reader::{Range, Reader, Secret, SettingSpec, comma_separated};
use crate::setting::{ConfigError, InvalidSetting, Setting};

/// All settings of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the database.
    pub database_url: DatabaseUrl,
    /// Listen address.
    pub addr: ListenAddress,
    /// Separate listen address for health, metrics and documentation.
    pub management_addr: Option<ListenAddress>,
    /// Run missing migrations on PostgreSQL at start.
    pub auto_migrate: bool,
    /// Settings of the HTTP handlers.
    pub settings: RequestSettings,
    /// How much of the client address to store.
    pub client_ip: ClientIpPolicy,
    /// Path of a MaxMind database.
    pub geoip_db: Option<PathBuf>,
    /// How long an API key stays in the cache. Zero disables the cache.
    pub key_cache: Duration,
    /// Redis for shared rate limits; `None`: each server limits on its own.
    pub redis_url: Option<RedisUrl>,
    /// Maximum wait for Redis before the server applies its share of the limits.
    pub redis_timeout: Duration,
    /// Threads and bounds of the writer.
    pub writer: WriterOptions,
    /// Threads that serve HTTP; `None`: one per CPU.
    pub http_threads: Option<usize>,
    /// How long the server still accepts connections after SIGTERM.
    pub shutdown_delay: Duration,
    /// Maximum wait for requests in flight at shutdown.
    pub shutdown_grace: Duration,
    /// Maximum log lines per second about requests without a valid key, and about a tenant's
    /// refused requests.
    pub log_refusals_per_second: u32,
    /// Maximum log lines per second and tenant about rejected events.
    pub log_rejections_per_second: u32,
    /// Days to keep rejected events and their counts; 0 keeps none.
    pub rejection_days: u32,
    /// Bounds of a tenant's kept rejected events.
    pub rejections: RejectionBounds,
    /// Maximum tenants with their own metric series.
    pub metrics_tenants: usize,
    /// Minimum log level.
    pub log_level: LogLevel,
    /// Log format; `None`: `terminal` if standard output is a terminal, otherwise `json`.
    pub log_format: Option<LogFormat>,
    /// Trace collector; `None`: no traces.
    pub trace_endpoint: Option<OtlpEndpoint>,
    /// Share of requests to trace if the caller sends no `traceparent`: 0 to 1.
    pub trace_sample_ratio: f64,
    /// Every setting for output, with secrets hidden.
    pub in_force: Vec<Setting>,
}

/// The settings of an environment and the invalid ones among them, for a program that reports both.
#[derive(Debug, Clone)]
pub struct CheckedConfig {
    /// The settings, with the default in place of each invalid one.
    pub config: Config,
    /// The invalid settings. A server starts only if there are none.
    pub invalid: Vec<InvalidSetting>,
}

/// Prefix of the settings of this project.
const PREFIX: &str = "MERCURIO_";
/// Names with the prefix that the tests, the example clients and `events forward` read.
const NOT_SERVER_SETTINGS: [&str; 3] =
    ["MERCURIO_TEST_", "MERCURIO_API_KEY", "MERCURIO_WEBHOOK_SECRET"];

/// An empty value is an error here: a lost PostgreSQL address must not silently send events to a
/// new SQLite file.
const DATABASE_URL: Secret = Secret {
    name: "DATABASE_URL",
    file: "DATABASE_URL_FILE",
    range: "postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite://PATH",
    if_empty: Some("the value is empty: unset it to use SQLite at data/mercurio.db"),
};

const REDIS_URL: Secret = Secret {
    name: "MERCURIO_REDIS_URL",
    file: "MERCURIO_REDIS_URL_FILE",
    range: "redis://USER:PASSWORD@HOST:PORT/NUMBER",
    if_empty: None,
};

/// Reads the database address alone, for a program without other settings.
///
/// # Errors
/// [`ConfigError`] with every invalid setting.
pub fn database_url(lookup: impl Fn(&str) -> Option<String>) -> Result<DatabaseUrl, ConfigError> {
    let mut reader = Reader::new(&lookup);
    let url = read_database_url(&mut reader);
    if reader.invalid.is_empty() { Ok(url) } else { Err(ConfigError(reader.invalid)) }
}

fn read_database_url(reader: &mut Reader<'_>) -> DatabaseUrl {
    reader
        .secret(&DATABASE_URL, Some(DatabaseUrl::default()), DatabaseUrl::parse)
        // `secret` returns the default for a missing or invalid value.
        .unwrap_or_default()
}

impl CheckedConfig {
    /// Reads all settings. `names` are the names of the whole environment: an unknown one with our
    /// prefix is invalid, most likely a misspelled setting.
    pub fn read(
        lookup: impl Fn(&str) -> Option<String>,
        names: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut reader = Reader::new(&lookup);
        let mut config = Config::read_all(&mut reader);
        let Reader { known, settings, mut invalid, .. } = reader;
        config.in_force = settings;
        // After all settings are read, because only then every known name is listed.
        for name in names {
            if is_server_setting(&name) && !known.contains(&name.as_str()) {
                let message = unknown_setting(&name, &known);
                invalid.push(InvalidSetting { name, message });
            }
        }
        Self { config, invalid }
    }
}

/// Suggests the known name that resembles an unknown one. The prefix, which all share, does not
/// count.
fn unknown_setting(name: &str, known: &[&'static str]) -> String {
    let meant = nearest(without_prefix(name), known.iter().copied().map(without_prefix));
    match known.iter().find(|known| meant == Some(without_prefix(known))) {
        Some(known) => format!("unknown setting: did you mean {known}?"),
        None => "unknown setting: .env.example lists all settings".to_owned(),
    }
}

fn without_prefix(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

fn is_server_setting(name: &str) -> bool {
    name.starts_with(PREFIX) && !NOT_SERVER_SETTINGS.iter().any(|other| name.starts_with(other))
}

impl Config {
    /// Reads all settings, like [`CheckedConfig::read`].
    ///
    /// # Errors
    /// [`ConfigError`] with every invalid setting.
    pub fn read(
        lookup: impl Fn(&str) -> Option<String>,
        names: impl IntoIterator<Item = String>,
    ) -> Result<Self, ConfigError> {
        let CheckedConfig { config, invalid } = CheckedConfig::read(lookup, names);
        if invalid.is_empty() { Ok(config) } else { Err(ConfigError(invalid)) }
    }

    fn read_all(reader: &mut Reader<'_>) -> Self {
        let database_url = read_database_url(reader);
        let Addresses { addr, management_addr } = Addresses::read(reader);
        // The order of these fields is the order of the output.
        Self {
            addr,
            management_addr,
            auto_migrate: reader.value("MERCURIO_AUTO_MIGRATE", "true or false", false),
            settings: request_settings(reader),
            client_ip: reader.value(
                "MERCURIO_CLIENT_IP",
                "full, truncated or none",
                ClientIpPolicy::default(),
            ),
            geoip_db: reader.path("MERCURIO_GEOIP_DB", "the path of a .mmdb file"),
            // Five seconds bound the use of a revoked key if its notice is lost (ADR 7).
            key_cache: reader.seconds("MERCURIO_KEY_CACHE_SECONDS", 5, Range { min: 0, max: 3600 }),
            redis_url: reader.secret(&REDIS_URL, None, RedisUrl::parse),
            redis_timeout: Duration::from_millis(reader.number(
                "MERCURIO_REDIS_TIMEOUT_MS",
                "milliseconds",
                100,
                Range { min: 1, max: 10_000 },
            )),
            writer: writer_options(reader, &database_url),
            http_threads: http_threads(reader),
            // Load balancers need some time to notice a server that is not ready.
            shutdown_delay: reader.seconds(
                "MERCURIO_SHUTDOWN_DELAY_SECONDS",
                1,
                Range { min: 0, max: 300 },
            ),
            // By default longer than the commit timeout, so requests in flight can finish.
            shutdown_grace: reader.seconds(
                "MERCURIO_SHUTDOWN_GRACE_SECONDS",
                30,
                Range { min: 1, max: 3600 },
            ),
            log_refusals_per_second: reader.number(
                "MERCURIO_LOG_REFUSALS_PER_SECOND",
                "lines per second",
                50,
                Range { min: 0, max: 100_000 },
            ),
            log_rejections_per_second: reader.number(
                "MERCURIO_LOG_REJECTIONS_PER_SECOND",
                "lines per second",
                5,
                Range { min: 0, max: 1_000 },
            ),
            rejection_days: reader.number(
                "MERCURIO_REJECTION_DAYS",
                "days",
                7,
                Range { min: 0, max: 365 },
            ),
            rejections: rejection_bounds(reader),
            metrics_tenants: reader.number(
                "MERCURIO_METRICS_TENANTS",
                "tenants",
                100,
                Range { min: 0, max: 100_000 },
            ),
            log_level: reader.value(
                "MERCURIO_LOG_LEVEL",
                "trace, debug, info, warning, error or critical",
                LogLevel::Info,
            ),
            // The default depends on standard output, so the server decides it.
            log_format: reader.optional("MERCURIO_LOG_FORMAT", "json or terminal"),
            trace_endpoint: trace_endpoint(reader),
            trace_sample_ratio: reader.ratio("OTEL_TRACES_SAMPLER_ARG", 0.01),
            database_url,
            // Filled by the caller when every setting is read.
            in_force: Vec::new(),
        }
    }
}

/// Reads the collector's address, and checks the headers, which the exporter reads itself.
fn trace_endpoint(reader: &mut Reader<'_>) -> Option<OtlpEndpoint> {
    const HEADERS: &str = "NAME=VALUE pairs, separated by commas";
    let endpoint =
        SettingSpec::new("OTEL_EXPORTER_OTLP_ENDPOINT", "a URL such as http://localhost:4318");
    let endpoint =
        reader.parsed(endpoint, None, None, |text| text.parse::<OtlpEndpoint>().map(Some));
    let headers = SettingSpec::new("OTEL_EXPORTER_OTLP_HEADERS", HEADERS);
    reader.foreign_secret(headers, |text| {
        // The message does not quote the value: it is a secret.
        let are_pairs = comma_separated(text).iter().all(|part| is_header(part));
        are_pairs.then_some(()).ok_or_else(|| format!("not a list of headers: use {HEADERS}"))
    });
    endpoint
}

/// Whether `text` is a header with a name and a value. The exporter drops all others silently.
fn is_header(text: &str) -> bool {
    text.split_once('=')
        .is_some_and(|(name, value)| !name.trim().is_empty() && !value.trim().is_empty())
}

fn rejection_bounds(reader: &mut Reader<'_>) -> RejectionBounds {
    let defaults = RejectionBounds::default();
    RejectionBounds {
        events_per_second: reader.number(
            "MERCURIO_REJECTIONS_PER_SECOND",
            "events per second",
            defaults.events_per_second,
            Range { min: 0, max: 1_000 },
        ),
        bytes_per_second: reader.number(
            "MERCURIO_REJECTION_BYTES_PER_SECOND",
            "bytes per second",
            defaults.bytes_per_second,
            // To 64 MiB.
            Range { min: 0, max: 1 << 26 },
        ),
    }
}

fn http_threads(reader: &mut Reader<'_>) -> Option<usize> {
    let range = Range { min: 0, max: 1024 };
    // 0 selects one thread per CPU.
    Some(reader.number("MERCURIO_HTTP_THREADS", "threads", 0, range)).filter(|threads| *threads > 0)
}

fn writer_options(reader: &mut Reader<'_>, database_url: &DatabaseUrl) -> WriterOptions {
    // SQLite has one writer at a time: a second thread would only wait for the lock.
    // On 2 cores, two threads were best for PostgreSQL (docs/benchmarks.md).
    let threads = if database_url.backend() == Backend::Sqlite { 1 } else { 2 };
    let defaults = WriterOptions::default();
    WriterOptions {
        threads: reader.number(
            "MERCURIO_WRITER_THREADS",
            "threads",
            threads,
            Range { min: 1, max: 4 },
        ),
        queue_events: reader.number(
            "MERCURIO_QUEUE_EVENTS",
            "events",
            defaults.queue_events,
            Range { min: 1, max: 10_000_000 },
        ),
        queue_bytes: reader.number(
            "MERCURIO_QUEUE_BYTES",
            "bytes",
            defaults.queue_bytes,
            // 1 MiB to 16 GiB.
            Range { min: 1 << 20, max: 1 << 34 },
        ),
        ..defaults
    }
}

#[cfg(test)]
mod tests;

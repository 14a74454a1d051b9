//! What can be set: each setting with its name, unit, range and default, in the order in which they are shown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mercurio_domain::limits::{LimitName, Limits};
use mercurio_enrichment::{ClientIpPolicy, TrustedProxies};
use mercurio_observability::{LogFormat, LogLevel, OtlpEndpoint};
use mercurio_pipeline::WriterOptions;
use mercurio_rate_limit::RedisUrl;
use mercurio_runtime::RequestSettings;
use mercurio_storage::DatabaseUrl;

use crate::reader::{Reader, Secret};
use crate::{ConfigError, InvalidSetting, Setting, check_origins};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub database_url: DatabaseUrl,
    /// Where clients are served.
    pub addr: SocketAddr,
    /// Where operators are served, if apart.
    pub management_addr: Option<SocketAddr>,
    /// Whether PostgreSQL is migrated at start.
    pub auto_migrate: bool,
    /// What handlers look at.
    pub settings: RequestSettings,
    /// What is kept of a client's address.
    pub client_ip: ClientIpPolicy,
    /// A MaxMind database.
    pub geoip_db: Option<PathBuf>,
    /// How long an API key is kept without asking the database.
    pub key_cache: Duration,
    /// Where servers share the rate limits of tenants, if they do.
    pub redis_url: Option<RedisUrl>,
    /// How long Redis may take to answer before the server decides alone.
    pub redis_timeout: Duration,
    /// How much the writer takes on.
    pub writer: WriterOptions,
    /// Threads that serve HTTP; none set: as many as there are processors.
    pub workers: Option<usize>,
    /// How long the process goes on taking connections after it was told to stop.
    pub shutdown_delay: Duration,
    /// How long it then finishes what it took.
    pub shutdown_grace: Duration,
    /// Rejected events that leave a line in the log, in a second and of a tenant.
    pub log_rejections_per_second: u32,
    /// How many tenants have numbers of their own in the metrics.
    pub metrics_tenants: usize,
    /// The least important level that is logged.
    pub log_level: LogLevel,
    /// How lines look; none set: for people where stdout is a terminal.
    pub log_format: Option<LogFormat>,
    /// The collector that traces of requests are sent to, if any.
    pub trace_endpoint: Option<OtlpEndpoint>,
    /// The share of requests without a `traceparent` that are traced: 0 to 1.
    pub trace_sample_ratio: f64,
    /// Every setting as it is shown, secrets hidden.
    pub in_force: Vec<Setting>,
}

/// What was read, with everything that is wrong with it.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The settings, with the default in place of each that can't be used.
    pub config: Config,
    /// What is wrong; none: the settings are good to run with.
    pub invalid: Vec<InvalidSetting>,
}

/// What begins the names of settings of this project.
const PREFIX: &str = "MERCURIO_";
/// Names with the prefix that are no settings of a server but of the tests, and of clients on the same machine.
const OF_OTHERS: [&str; 2] = ["MERCURIO_TEST_", "MERCURIO_API_KEY"];

/// The settings of limits, and what they count. A tenant may have its own in their place.
const LIMITS: [(&str, LimitName, &str); 11] = [
    ("MERCURIO_MAX_BODY_BYTES", LimitName::MaxBodyBytes, "bytes"),
    ("MERCURIO_MAX_BATCH_EVENTS", LimitName::MaxBatchEvents, "events"),
    ("MERCURIO_MAX_EVENT_BYTES", LimitName::MaxEventBytes, "bytes"),
    ("MERCURIO_MAX_EVENT_AGE_DAYS", LimitName::MaxEventAgeDays, "days"),
    ("MERCURIO_MAX_EVENT_FUTURE_SECONDS", LimitName::MaxEventFutureSeconds, "seconds"),
    ("MERCURIO_EVENTS_PER_SECOND", LimitName::EventsPerSecond, "events a second"),
    ("MERCURIO_EVENTS_BURST", LimitName::EventsBurst, "events"),
    ("MERCURIO_REQUESTS_PER_SECOND", LimitName::RequestsPerSecond, "requests a second"),
    ("MERCURIO_REQUESTS_BURST", LimitName::RequestsBurst, "requests"),
    ("MERCURIO_MONTHLY_EVENTS", LimitName::MonthlyEvents, "events"),
    ("MERCURIO_RETENTION_DAYS", LimitName::RetentionDays, "days"),
];

/// Where the address of PostgreSQL got lost on its way, events must not go into a file that nobody looks for.
const DATABASE_URL: Secret = Secret {
    name: "DATABASE_URL",
    file: "DATABASE_URL_FILE",
    range: "postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite://PATH",
    if_empty: Some("it is set and empty; unset it to use SQLite at data/mercurio.db"),
};

const REDIS_URL: Secret = Secret {
    name: "MERCURIO_REDIS_URL",
    file: "MERCURIO_REDIS_URL_FILE",
    range: "redis://USER:PASSWORD@HOST:PORT/NUMBER",
    if_empty: None,
};

/// The database alone, for a program that needs no other setting.
///
/// # Errors
/// Every mistake about it.
pub fn database_url(lookup: impl Fn(&str) -> Option<String>) -> Result<DatabaseUrl, ConfigError> {
    let mut reader = Reader::new(&lookup);
    let url = read_database_url(&mut reader);
    if reader.invalid.is_empty() { Ok(url) } else { Err(ConfigError(reader.invalid)) }
}

fn read_database_url(reader: &mut Reader<'_>) -> DatabaseUrl {
    reader
        .secret(&DATABASE_URL, Some(DatabaseUrl::default()), DatabaseUrl::parse)
        .unwrap_or_default()
}

impl Reading {
    /// Reads all settings. `names` are those of the whole environment: one with our prefix that nobody reads is a mistake.
    pub fn of(
        lookup: impl Fn(&str) -> Option<String>,
        names: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut reader = Reader::new(&lookup);
        let mut config = Config::read_all(&mut reader);
        let Reader { known, settings, mut invalid, .. } = reader;
        config.in_force = settings;
        let of_others = |name: &str| OF_OTHERS.iter().any(|other| name.starts_with(other));
        let is_unknown = |name: &String| {
            name.starts_with(PREFIX) && !of_others(name) && !known.contains(&name.as_str())
        };
        invalid.extend(names.into_iter().filter(is_unknown).map(|name| InvalidSetting {
            name,
            message: "there is no such setting; .env.example has them all".to_owned(),
        }));
        Self { config, invalid }
    }
}

impl Config {
    /// Reads all settings, as [`Reading::of`] does.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake.
    pub fn read(
        lookup: impl Fn(&str) -> Option<String>,
        names: impl IntoIterator<Item = String>,
    ) -> Result<Self, ConfigError> {
        let Reading { config, invalid } = Reading::of(lookup, names);
        if invalid.is_empty() { Ok(config) } else { Err(ConfigError(invalid)) }
    }

    fn read_all(reader: &mut Reader<'_>) -> Self {
        const ADDRESS: &str = "an IP address and a port";
        let database_url = read_database_url(reader);
        let trace_endpoint = (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            None,
            "an URL, such as http://localhost:4318".to_owned(),
        );
        Self {
            addr: reader.value("MERCURIO_ADDR", ADDRESS, SocketAddr::from(([127, 0, 0, 1], 8080))),
            management_addr: reader.optional("MERCURIO_MANAGEMENT_ADDR", ADDRESS),
            auto_migrate: reader.value("MERCURIO_AUTO_MIGRATE", "true or false", false),
            settings: request_settings(reader),
            client_ip: reader.value(
                "MERCURIO_CLIENT_IP",
                "full, truncated or none",
                ClientIpPolicy::default(),
            ),
            geoip_db: reader.path("MERCURIO_GEOIP_DB", "the path of a .mmdb file"),
            key_cache: reader.seconds("MERCURIO_KEY_CACHE_SECONDS", 5, (0, 3600)),
            redis_url: reader.secret(&REDIS_URL, None, RedisUrl::parse),
            redis_timeout: Duration::from_millis(reader.number(
                "MERCURIO_REDIS_TIMEOUT_MS",
                "milliseconds",
                100,
                (1, 10_000),
            )),
            writer: writer_options(reader, &database_url),
            workers: match reader.number("MERCURIO_HTTP_THREADS", "threads", 0, (0, 1024)) {
                0 => None,
                workers => Some(workers),
            },
            shutdown_delay: reader.seconds("MERCURIO_SHUTDOWN_DELAY_SECONDS", 1, (0, 300)),
            shutdown_grace: reader.seconds("MERCURIO_SHUTDOWN_GRACE_SECONDS", 30, (1, 3600)),
            log_rejections_per_second: reader.number(
                "MERCURIO_LOG_REJECTIONS_PER_SECOND",
                "lines a second",
                5,
                (0, 1_000),
            ),
            metrics_tenants: reader.number(
                "MERCURIO_METRICS_TENANTS",
                "tenants",
                100,
                (0, 100_000),
            ),
            log_level: reader.value(
                "MERCURIO_LOG_LEVEL",
                "trace, debug, info, warning, error or critical",
                LogLevel::Info,
            ),
            log_format: reader.optional("MERCURIO_LOG_FORMAT", "json or terminal"),
            trace_endpoint: reader.parsed(trace_endpoint, (None, None), |text| {
                text.parse::<OtlpEndpoint>().map(Some)
            }),
            trace_sample_ratio: reader.ratio("OTEL_TRACES_SAMPLER_ARG", 0.01),
            database_url,
            in_force: Vec::new(),
        }
    }
}

fn writer_options(reader: &mut Reader<'_>, database_url: &DatabaseUrl) -> WriterOptions {
    let threads = if database_url.to_string().starts_with("sqlite") { 1 } else { 2 };
    let defaults = WriterOptions::default();
    WriterOptions {
        threads: reader.number("MERCURIO_WRITER_THREADS", "threads", threads, (1, 4)),
        queue_events: reader.number(
            "MERCURIO_QUEUE_EVENTS",
            "events",
            defaults.queue_events,
            (1, 10_000_000),
        ),
        queue_bytes: reader.number(
            "MERCURIO_QUEUE_BYTES",
            "bytes",
            defaults.queue_bytes,
            (1 << 20, 1 << 34),
        ),
        ..defaults
    }
}

fn request_settings(reader: &mut Reader<'_>) -> RequestSettings {
    let mut limits = Limits::default();
    for (name, limit, unit) in LIMITS {
        let (range, default) = (limit.range(), limits.get(limit));
        limits.set(limit, reader.number(name, unit, default, (*range.start(), *range.end())));
    }
    let split = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let proxies =
        ("MERCURIO_TRUSTED_PROXIES", None, "networks (CIDR), separated by commas".to_owned());
    let origins = ("MERCURIO_CORS_ORIGINS", None, "* or origins, separated by commas".to_owned());
    RequestSettings {
        limits,
        request_timeout: reader.seconds("MERCURIO_REQUEST_TIMEOUT_SECONDS", 30, (1, 3600)),
        commit_timeout: reader.seconds("MERCURIO_COMMIT_TIMEOUT_SECONDS", 10, (1, 3600)),
        slow_request: match reader.number(
            "MERCURIO_SLOW_REQUEST_MS",
            "milliseconds",
            1_000,
            (0, 3_600_000),
        ) {
            0 => None,
            millis => Some(Duration::from_millis(millis)),
        },
        trusted_proxies: reader.parsed(
            proxies,
            (TrustedProxies::default(), None),
            TrustedProxies::parse,
        ),
        cors_origins: reader.parsed(
            origins,
            (vec!["*".to_owned()], Some("*".to_owned())),
            |text| check_origins(split(text)),
        ),
    }
}

#[cfg(test)]
mod tests;

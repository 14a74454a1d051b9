//! The settings of the server, read from the environment through a lookup function; all mistakes are told at once.
//!
//! Every name that is read here stands in `.env.example`, with its default and its unit; a test holds the two together.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use mercurio_domain::limits::{LimitName, Limits};
use mercurio_enrichment::{ClientIpPolicy, TrustedProxies};
use mercurio_observability::{LogFormat, LogLevel};
use mercurio_pipeline::WriterOptions;
use mercurio_storage::DatabaseUrl;

use crate::rate_limit::RedisUrl;
use crate::state::Settings;

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
    pub settings: Settings,
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
    /// The least important level that is logged.
    pub log_level: LogLevel,
    /// How lines look; none set: for people where stdout is a terminal.
    pub log_format: Option<LogFormat>,
}

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting.
    pub name: String,
    /// What is wrong. Holds no secret.
    pub message: String,
}

/// All settings that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Mistake>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings can't be used:")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {}: {}", mistake.name, mistake.message))
    }
}

impl std::error::Error for ConfigError {}

/// What begins the names of settings of this project.
const PREFIX: &str = "MERCURIO_";
/// Names with the prefix that are no settings of a server but of the tests, and of clients on the same machine.
const OF_OTHERS: [&str; 2] = ["MERCURIO_TEST_", "MERCURIO_API_KEY"];

/// The settings of limits. A tenant may have its own in their place.
const LIMITS: [(&str, LimitName); 9] = [
    ("MERCURIO_MAX_BODY_BYTES", LimitName::MaxBodyBytes),
    ("MERCURIO_MAX_BATCH_EVENTS", LimitName::MaxBatchEvents),
    ("MERCURIO_MAX_EVENT_BYTES", LimitName::MaxEventBytes),
    ("MERCURIO_MAX_EVENT_AGE_DAYS", LimitName::MaxEventAgeDays),
    ("MERCURIO_MAX_EVENT_FUTURE_SECONDS", LimitName::MaxEventFutureSeconds),
    ("MERCURIO_EVENTS_PER_SECOND", LimitName::EventsPerSecond),
    ("MERCURIO_EVENTS_BURST", LimitName::EventsBurst),
    ("MERCURIO_REQUESTS_PER_SECOND", LimitName::RequestsPerSecond),
    ("MERCURIO_REQUESTS_BURST", LimitName::RequestsBurst),
];

impl Config {
    /// Reads all settings. `names` are those of the whole environment: one with our prefix that nobody reads is a mistake.
    ///
    /// # Errors
    /// [`ConfigError`] with every mistake.
    pub fn read(
        lookup: impl Fn(&str) -> Option<String>,
        names: impl IntoIterator<Item = String>,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup: &lookup, known: Vec::new(), mistakes: Vec::new() };
        let config = Self::read_all(&mut reader);
        let Reader { known, mut mistakes, .. } = reader;
        let of_others = |name: &str| OF_OTHERS.iter().any(|other| name.starts_with(other));
        let is_unknown =
            |name: &String| name.starts_with(PREFIX) && !of_others(name) && !known.contains(&name.as_str());
        mistakes.extend(
            names.into_iter().filter(is_unknown).map(|name| Mistake {
                name,
                message: "there is no such setting; .env.example has them all".to_owned(),
            }),
        );
        if mistakes.is_empty() { Ok(config) } else { Err(ConfigError(mistakes)) }
    }

    fn read_all(reader: &mut Reader<'_>) -> Self {
        let database_url = reader.database_url();
        let default_lanes = if database_url.to_string().starts_with("sqlite") { 1 } else { 2 };
        let mut writer = WriterOptions { lanes: default_lanes, ..WriterOptions::default() };
        writer.lanes = reader.number("MERCURIO_WRITER_LANES", writer.lanes, 1, 4);
        writer.queue_events = reader.number("MERCURIO_QUEUE_EVENTS", writer.queue_events, 1, 10_000_000);
        writer.queue_bytes = reader.number("MERCURIO_QUEUE_BYTES", writer.queue_bytes, 1 << 20, 1 << 34);
        Self {
            database_url,
            addr: reader.value("MERCURIO_ADDR", SocketAddr::from(([127, 0, 0, 1], 8080))),
            management_addr: reader.optional("MERCURIO_MANAGEMENT_ADDR"),
            auto_migrate: reader.value("MERCURIO_AUTO_MIGRATE", false),
            settings: Self::settings(reader),
            client_ip: reader.value("MERCURIO_CLIENT_IP", ClientIpPolicy::default()),
            geoip_db: reader.optional("MERCURIO_GEOIP_DB"),
            key_cache: reader.seconds("MERCURIO_KEY_CACHE_SECONDS", 5, 0, 3600),
            redis_url: reader.parsed("MERCURIO_REDIS_URL", None, |text| RedisUrl::parse(text).map(Some)),
            redis_timeout: Duration::from_millis(reader.number("MERCURIO_REDIS_TIMEOUT_MS", 100, 1, 10_000)),
            writer,
            workers: match reader.number("MERCURIO_WORKERS", 0, 0, 1024) {
                0 => None,
                workers => Some(workers),
            },
            shutdown_delay: reader.seconds("MERCURIO_SHUTDOWN_DELAY_SECONDS", 1, 0, 300),
            shutdown_grace: reader.seconds("MERCURIO_SHUTDOWN_GRACE_SECONDS", 30, 1, 3600),
            log_level: reader.value("MERCURIO_LOG_LEVEL", LogLevel::Info),
            log_format: reader.optional("MERCURIO_LOG_FORMAT"),
        }
    }

    fn settings(reader: &mut Reader<'_>) -> Settings {
        let mut limits = Limits::default();
        for (name, limit) in LIMITS {
            let (range, default) = (limit.range(), limits.get(limit));
            limits.set(limit, reader.number(name, default, *range.start(), *range.end()));
        }
        let split = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        Settings {
            limits,
            request_timeout: reader.seconds("MERCURIO_REQUEST_TIMEOUT_SECONDS", 30, 1, 3600),
            commit_timeout: reader.seconds("MERCURIO_COMMIT_TIMEOUT_SECONDS", 10, 1, 3600),
            trusted_proxies: reader.parsed(
                "MERCURIO_TRUSTED_PROXIES",
                TrustedProxies::default(),
                TrustedProxies::parse,
            ),
            cors_origins: reader
                .parsed("MERCURIO_CORS_ORIGINS", vec!["*".to_owned()], |text| crate::cors::check_origins(split(text))),
        }
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    known: Vec<&'static str>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    /// The text of a setting; one that is empty or blank counts as not set, as an empty line of an environment file does.
    fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        (self.lookup)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Unlike the others, one that is set and empty is a mistake: where the address of PostgreSQL got lost on its way, events
    /// must not go into a file that nobody looks for.
    fn database_url(&mut self) -> DatabaseUrl {
        if (self.lookup)("DATABASE_URL").is_some_and(|text| text.trim().is_empty()) {
            let message = "it is set and empty; unset it to use SQLite at data/mercurio.db".to_owned();
            self.mistakes.push(Mistake { name: "DATABASE_URL".to_owned(), message });
        }
        self.parsed("DATABASE_URL", DatabaseUrl::default(), DatabaseUrl::parse)
    }

    fn parsed<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        default: T,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> T {
        let Some(text) = self.text(name) else {
            return default;
        };
        parse(&text).unwrap_or_else(|error| {
            self.mistakes.push(Mistake { name: name.to_owned(), message: error.to_string() });
            default
        })
    }

    fn value<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str, default: T) -> T {
        self.parsed(name, default, |text| text.parse::<T>().map_err(|error| format!("{text:?}: {error}")))
    }

    fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Option<T> {
        self.parsed(name, None, |text| text.parse::<T>().map(Some).map_err(|error| format!("{text:?}: {error}")))
    }

    fn number<T>(&mut self, name: &'static str, default: T, least: T, most: T) -> T
    where
        T: FromStr + PartialOrd + Copy + fmt::Display,
    {
        self.parsed(name, default, |text| {
            let number = text.parse::<T>().ok().filter(|number| least <= *number && *number <= most);
            number.ok_or_else(|| format!("{text:?} is not a whole number from {least} to {most}"))
        })
    }

    fn seconds(&mut self, name: &'static str, default: u64, least: u64, most: u64) -> Duration {
        Duration::from_secs(self.number(name, default, least, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let find = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Config::read(find, pairs.iter().map(|(name, _)| (*name).to_owned()))
    }

    fn mistakes(pairs: &[(&str, &str)]) -> Vec<String> {
        read(pairs).err().map(|error| error.0.into_iter().map(|mistake| mistake.name).collect()).unwrap_or_default()
    }

    #[test]
    fn an_empty_environment_gives_the_defaults_of_the_contract() {
        let config = read(&[]).unwrap();
        assert_eq!(config.addr.to_string(), "127.0.0.1:8080");
        assert_eq!(config.database_url.to_string(), "sqlite://data/mercurio.db");
        assert_eq!(config.settings.limits, Limits::default());
        assert!(!config.auto_migrate);
        assert_eq!(config.writer.lanes, 1);
        assert_eq!(read(&[("DATABASE_URL", "postgres://localhost/m")]).unwrap().writer.lanes, 2);
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let told = mistakes(&[
            ("DATABASE_URL", "mysql://localhost"),
            ("MERCURIO_ADDR", "localhost"),
            ("MERCURIO_MAX_BATCH_EVENTS", "0"),
            ("MERCURIO_LOG_LEVEL", "loud"),
            ("MERCURIO_AUTO_MIGRATE", "yes"),
            ("MERCURIO_CLIENT_IP", "half"),
            ("MERCURIO_TRUSTED_PROXIES", "10.0.0.0/40"),
            ("MERCURIO_MAX_BATCH_EVENT", "5"),
        ]);
        assert_eq!(told.len(), 8, "{told:?}");
    }

    #[test]
    fn no_mistake_tells_a_password() {
        for name in ["DATABASE_URL", "MERCURIO_REDIS_URL"] {
            let error = read(&[(name, "postgres://u:hunter2@db.example:99999999/m")]).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let config = read(&[("MERCURIO_REDIS_URL", "redis://:hunter2@localhost:6379/3")]).unwrap();
        assert_eq!(format!("{:?}", config.redis_url), "Some(RedisUrl(localhost:6379))");
    }

    #[test]
    fn an_empty_setting_counts_as_not_set() {
        assert!(read(&[("MERCURIO_ADDR", " "), ("MERCURIO_GEOIP_DB", "")]).unwrap().geoip_db.is_none());
        assert_eq!(mistakes(&[("DATABASE_URL", "")]), ["DATABASE_URL"]);
    }
}

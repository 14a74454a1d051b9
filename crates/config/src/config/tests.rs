//! Values of settings, their errors, and their output.

use std::collections::HashMap;

use super::*;
use crate::setting::Source;
use mercurio_domain::limits::Limits;

fn read(pairs: &[(&str, &str)]) -> CheckedConfig {
    let values: HashMap<&str, &str> = pairs.iter().copied().collect();
    let find = |name: &str| values.get(name).map(|value| (*value).to_owned());
    CheckedConfig::read(find, pairs.iter().map(|(name, _)| (*name).to_owned()))
}

/// Reads valid settings.
#[track_caller]
fn valid(pairs: &[(&str, &str)]) -> Config {
    let CheckedConfig { config, invalid } = read(pairs);
    assert_eq!(invalid, []);
    config
}

/// Returns the messages of the invalid settings.
fn invalid(pairs: &[(&str, &str)]) -> Vec<String> {
    read(pairs).invalid.iter().map(ToString::to_string).collect()
}

fn shown(config: &Config, name: &str) -> Setting {
    config.in_force.iter().find(|setting| setting.name == name).expect(name).clone()
}

/// A file that is deleted when this is dropped.
struct SecretFile(tempfile::NamedTempFile);

impl SecretFile {
    fn with(text: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

#[test]
fn empty_environment_gives_the_documented_defaults() {
    let config = valid(&[]);
    assert_eq!(config.addr.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database_url.to_string(), "sqlite://data/mercurio.db");
    assert_eq!(config.settings.limits, Limits::default());
    assert!(!config.auto_migrate);
    assert!(config.settings.public_docs);
    assert_eq!(config.writer.threads, 1);
    assert_eq!(valid(&[("DATABASE_URL", "postgres://localhost/m")]).writer.threads, 2);
}

#[test]
fn protocols_have_limits_of_their_own() {
    let protocols = valid(&[]).settings.protocols;
    assert_eq!((protocols.max_events, protocols.max_body_bytes), (1_000, 5 * 1024 * 1024));
    assert_eq!(shown(&valid(&[]), "MERCURIO_PROTOCOLS").value.as_deref(), Some("all"));
    let config = valid(&[("MERCURIO_PROTOCOLS", "none"), ("MERCURIO_PROTOCOLS_MAX_EVENTS", "512")]);
    assert_eq!(config.settings.protocols.enabled.to_string(), "none");
    assert_eq!(config.settings.protocols.max_events, 512);
    let messages = invalid(&[("MERCURIO_PROTOCOLS", "segment, mixpanle")]);
    assert_eq!(
        messages,
        [
            "MERCURIO_PROTOCOLS: \"mixpanle\" is not a protocol: use all, none, or a list of segment, jitsu, posthog, \
             cloudevents, openmeter, amplitude, mixpanel, snowplow, otlp"
        ]
    );
}

#[test]
fn all_invalid_settings_are_reported_at_once() {
    let messages = invalid(&[
        ("DATABASE_URL", "mysql://localhost"),
        ("MERCURIO_ADDR", "localhost"),
        ("MERCURIO_MAX_BATCH_EVENTS", "0"),
        ("MERCURIO_LOG_LEVEL", "loud"),
        ("MERCURIO_AUTO_MIGRATE", "yes"),
        ("MERCURIO_CLIENT_IP", "half"),
        ("MERCURIO_TRUSTED_PROXIES", "10.0.0.0/40"),
        ("MERCURIO_CLIENT_IP_HEADER", "x real ip"),
        // A misspelled name, without its last letter.
        ("MERCURIO_MAX_BATCH_EVENT", "5"),
    ]);
    assert_eq!(messages.len(), 9, "{messages:?}");
}

#[test]
fn message_names_setting_value_and_allowed_values() {
    for (name, value, message) in [
        ("MERCURIO_AUTO_MIGRATE", "yes", "\"yes\" is invalid: use true or false"),
        (
            "MERCURIO_MAX_BATCH_EVENTS",
            "0",
            "\"0\" is invalid: use a whole number from 1 to 10000 (events)",
        ),
        ("MERCURIO_LOG_FORMAT", "xml", "\"xml\" is invalid: use json or terminal"),
        ("OTEL_TRACES_SAMPLER_ARG", "NaN", "\"NaN\" is invalid: use a number from 0 to 1"),
        ("MERCURIO_ADRR", "x", "unknown setting: did you mean MERCURIO_ADDR?"),
        (
            "MERCURIO_MAX_BATCHEVENTS",
            "5",
            "unknown setting: did you mean MERCURIO_MAX_BATCH_EVENTS?",
        ),
        // One of the few without the prefix.
        ("MERCURIO_DATABASE_URL", "x", "unknown setting: did you mean DATABASE_URL?"),
        ("MERCURIO_COLOUR", "x", "unknown setting: .env.example lists all settings"),
    ] {
        assert_eq!(invalid(&[(name, value)]), [format!("{name}: {message}")]);
    }
}

#[test]
fn two_settings_with_one_address_are_refused() {
    for (addr, management, is_valid) in [
        ("127.0.0.1:9091", "127.0.0.1:9091", false),
        ("localhost:9091", "localhost:9091", false),
        ("127.0.0.1:9091", "127.0.0.1:9092", true),
        ("127.0.0.1:0", "127.0.0.1:0", true),
    ] {
        let settings = [("MERCURIO_ADDR", addr), ("MERCURIO_MANAGEMENT_ADDR", management)];
        let messages = invalid(&settings);
        assert_eq!(messages.is_empty(), is_valid, "{messages:?}");
        assert!(
            messages.iter().all(|message| message.contains("use another port")),
            "{messages:?}"
        );
    }
    // Of an invalid address nothing more is said.
    let settings = [("MERCURIO_ADDR", ":1"), ("MERCURIO_MANAGEMENT_ADDR", "127.0.0.1:8080")];
    assert_eq!(invalid(&settings).len(), 1);
}

#[test]
fn messages_contain_no_password() {
    // The port is too large, so the URL does not parse.
    let wrong = "postgres://u:hunter2@db.example:99999999/m";
    let file = SecretFile::with(wrong);
    for (name, value) in [
        ("DATABASE_URL", wrong),
        ("MERCURIO_REDIS_URL", wrong),
        ("DATABASE_URL_FILE", file.path()),
        ("MERCURIO_REDIS_URL_FILE", file.path()),
        // The address itself in place of a path.
        ("DATABASE_URL_FILE", wrong),
    ] {
        let messages = invalid(&[(name, value)]);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(messages[0].starts_with(&format!("{name}: ")), "{messages:?}");
        assert!(!messages[0].contains("hunter2"), "{messages:?}");
    }
}

#[test]
fn setting_is_shown_with_its_source_and_without_a_password() {
    let config = valid(&[
        ("DATABASE_URL", "postgres://u:hunter2@localhost:5432/m"),
        ("MERCURIO_REDIS_URL", "redis://:hunter2@localhost:6379/3"),
        // Blanks around a value do not count.
        ("MERCURIO_QUEUE_EVENTS", " 7 "),
    ]);
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    let url = shown(&config, "DATABASE_URL");
    assert_eq!(url.value.as_deref(), Some("postgres://u:***@localhost:5432/m"));
    assert_eq!((url.source, url.is_secret), (Source::Environment, true));
    assert_eq!(
        shown(&config, "MERCURIO_REDIS_URL").value.as_deref(),
        Some("redis://:***@localhost:6379/3")
    );
    assert_eq!(
        shown(&config, "MERCURIO_QUEUE_EVENTS"),
        Setting {
            name: "MERCURIO_QUEUE_EVENTS",
            value: Some("7".to_owned()),
            source: Source::Environment,
            default: Some("50000".to_owned()),
            unit: Some("events"),
            range: "1 to 10000000".to_owned(),
            is_secret: false,
        }
    );
    assert_eq!(shown(&config, "MERCURIO_ADDR").source, Source::Default);
    assert_eq!(shown(&config, "MERCURIO_GEOIP_DB").value, None);
}

#[test]
fn settings_are_each_shown_once() {
    let mut names: Vec<_> = valid(&[]).in_force.iter().map(|setting| setting.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count >= 30, "{names:?}");
}

#[test]
fn empty_setting_counts_as_unset() {
    let config =
        valid(&[("MERCURIO_ADDR", " "), ("MERCURIO_GEOIP_DB", ""), ("MERCURIO_REDIS_URL", "")]);
    assert!(config.geoip_db.is_none() && config.redis_url.is_none());
    let messages = invalid(&[("DATABASE_URL", "")]);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].starts_with("DATABASE_URL: the value is empty"), "{messages:?}");
}

#[test]
fn secret_is_read_from_a_file() {
    // The newline is no part of the address.
    let database = SecretFile::with("postgres://u:hunter2@localhost/m\n");
    let redis = SecretFile::with("redis://:hunter2@localhost/1");
    let config =
        valid(&[("DATABASE_URL_FILE", database.path()), ("MERCURIO_REDIS_URL_FILE", redis.path())]);
    let url = DatabaseUrl::parse("postgres://u:hunter2@localhost/m").unwrap();
    assert_eq!(config.database_url, url);
    assert_eq!(shown(&config, "DATABASE_URL").source, Source::File(database.path().into()));
    let shown_redis = shown(&config, "MERCURIO_REDIS_URL").value;
    assert_eq!(shown_redis.as_deref(), Some("redis://:***@localhost:6379/1"));
    // An empty variable is unset, so the file decides.
    let with_empty = valid(&[("DATABASE_URL", ""), ("DATABASE_URL_FILE", database.path())]);
    assert_eq!(with_empty.database_url, url);
    let path = database.path().to_owned();
    let lookup = |name: &str| (name == "DATABASE_URL_FILE").then(|| path.clone());
    assert_eq!(database_url(lookup), Ok(url));
}

#[test]
fn invalid_secret_file_is_reported_with_its_path() {
    // 70,000 bytes are more than the limit of 64 KiB.
    let (empty, long) = (SecretFile::with(" \n"), SecretFile::with(&"x".repeat(70_000)));
    for (path, expected) in [
        ("nowhere/url", "cannot read nowhere/url: No such file"),
        // A folder opens but cannot be read.
        (".", "cannot read ."),
        (empty.path(), "is empty"),
        (long.path(), "has more than 65536 bytes"),
    ] {
        let messages = invalid(&[("DATABASE_URL_FILE", path)]);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(messages[0].starts_with("DATABASE_URL_FILE: "), "{messages:?}");
        assert!(messages[0].contains(expected), "{messages:?}");
    }
    let both = [("DATABASE_URL_FILE", empty.path()), ("DATABASE_URL", "sqlite://a.db")];
    assert_eq!(
        invalid(&both),
        ["DATABASE_URL_FILE: DATABASE_URL is also set: unset one of the two"]
    );
}

#[test]
fn trace_settings_default_to_none_and_hide_a_password() {
    let config = valid(&[]);
    assert_eq!((config.trace_endpoint, config.trace_sample_ratio), (None, 0.01));
    let set = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
    ];
    let config = valid(&set);
    assert_eq!(
        config.trace_endpoint.map(|endpoint| endpoint.to_string()).as_deref(),
        Some("http://localhost:4318")
    );
    assert_eq!(config.trace_sample_ratio, 0.5);
    let wrong = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@localhost:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
    ];
    let checked = read(&wrong);
    assert_eq!(checked.invalid.len(), 3);
    assert!(!format!("{checked:?}").contains("hunter2"), "{checked:?}");
}

#[test]
fn trace_headers_are_checked_and_shown_without_their_values() {
    const NAME: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    assert_eq!(shown(&valid(&[]), NAME).value, None);
    let setting = shown(&valid(&[(NAME, "api-key=hunter2,x-team = a=b")]), NAME);
    assert_eq!(setting.value.as_deref(), Some("***"));
    assert_eq!((setting.source, setting.is_secret), (Source::Environment, true));
    for wrong in ["hunter2", "api-key:hunter2", "api-key=", "=hunter2", "a=b,hunter2"] {
        let message = "not a list of headers: use NAME=VALUE pairs, separated by commas";
        assert_eq!(invalid(&[(NAME, wrong)]), [format!("{NAME}: {message}")], "{wrong}");
    }
}

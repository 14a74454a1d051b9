//! Settings as they are given, as they are told to be wrong, and as they are shown.

use super::*;
use crate::Source;

fn reading(pairs: &[(&str, &str)]) -> Reading {
    let find = |name: &str| {
        pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    Reading::of(find, pairs.iter().map(|(name, _)| (*name).to_owned()))
}

fn sound(pairs: &[(&str, &str)]) -> Config {
    let Reading { config, invalid } = reading(pairs);
    assert_eq!(invalid, []);
    config
}

fn invalid(pairs: &[(&str, &str)]) -> Vec<String> {
    reading(pairs).invalid.into_iter().map(|mistake| mistake.name).collect()
}

fn shown(config: &Config, name: &str) -> Setting {
    config.in_force.iter().find(|setting| setting.name == name).expect(name).clone()
}

/// A file with that text, which lives as long as what is returned.
fn file(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[test]
fn an_empty_environment_gives_the_defaults_of_the_contract() {
    let config = sound(&[]);
    assert_eq!(config.addr.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database_url.to_string(), "sqlite://data/mercurio.db");
    assert_eq!(config.settings.limits, Limits::default());
    assert!(!config.auto_migrate);
    assert_eq!(config.writer.threads, 1);
    assert_eq!(sound(&[("DATABASE_URL", "postgres://localhost/m")]).writer.threads, 2);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let told = invalid(&[
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
    let wrong = "postgres://u:hunter2@db.example:99999999/m";
    let (_kept, path) = file(wrong);
    let cases = [("DATABASE_URL", wrong), ("MERCURIO_REDIS_URL", wrong)];
    let files = [
        ("DATABASE_URL_FILE", &*path),
        ("MERCURIO_REDIS_URL_FILE", &*path),
        ("DATABASE_URL_FILE", wrong),
    ];
    for (name, value) in cases.into_iter().chain(files) {
        let told = reading(&[(name, value)]).invalid;
        assert_eq!(told.len(), 1, "{name}");
        assert!(told[0].name == name && !told[0].to_string().contains("hunter2"), "{told:?}");
    }
}

#[test]
fn a_setting_is_shown_with_its_value_and_where_it_came_from_and_without_a_password() {
    let config = sound(&[
        ("DATABASE_URL", "postgres://u:hunter2@localhost:5432/m"),
        ("MERCURIO_REDIS_URL", "redis://:hunter2@localhost:6379/3"),
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
fn every_setting_is_shown_once() {
    let mut names: Vec<_> = sound(&[]).in_force.iter().map(|setting| setting.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count >= 30, "{names:?}");
}

#[test]
fn an_empty_setting_counts_as_not_set() {
    let config =
        sound(&[("MERCURIO_ADDR", " "), ("MERCURIO_GEOIP_DB", ""), ("MERCURIO_REDIS_URL", "")]);
    assert!(config.geoip_db.is_none() && config.redis_url.is_none());
    assert_eq!(invalid(&[("DATABASE_URL", "")]), ["DATABASE_URL"]);
}

#[test]
fn a_secret_can_stand_in_a_file() {
    let (_kept, path) = file("postgres://u:hunter2@localhost/m\n");
    let (_also, redis) = file("redis://:hunter2@localhost/1");
    let config = sound(&[("DATABASE_URL_FILE", &path), ("MERCURIO_REDIS_URL_FILE", &redis)]);
    assert_eq!(
        config.database_url,
        DatabaseUrl::parse("postgres://u:hunter2@localhost/m").unwrap()
    );
    assert_eq!(shown(&config, "DATABASE_URL").source, Source::File(path.clone().into()));
    assert_eq!(
        shown(&config, "MERCURIO_REDIS_URL").value.as_deref(),
        Some("redis://:***@localhost:6379/1")
    );
    assert_eq!(
        sound(&[("DATABASE_URL", ""), ("DATABASE_URL_FILE", &path)]).database_url,
        config.database_url
    );
    assert!(database_url(|name| (name == "DATABASE_URL_FILE").then(|| path.clone())).is_ok());
}

#[test]
fn a_file_of_a_secret_that_cannot_be_used_is_told_by_its_path() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let told = reading(pairs).invalid;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].name == "DATABASE_URL_FILE" && told[0].message.contains(expected),
            "{told:?}"
        );
    };
    let (_kept, empty) = file(" \n");
    let (_also, long) = file(&"x".repeat(70_000));
    check(&[("DATABASE_URL_FILE", "nowhere/url")], "nowhere/url can't be read: No such file");
    check(&[("DATABASE_URL_FILE", ".")], ". can't be read");
    check(&[("DATABASE_URL_FILE", &empty)], "is empty");
    check(&[("DATABASE_URL_FILE", &long)], "has more than 65536 bytes");
    check(
        &[("DATABASE_URL_FILE", &empty), ("DATABASE_URL", "sqlite://a.db")],
        "DATABASE_URL is set too",
    );
}

#[test]
fn traces_go_nowhere_unless_told_and_a_password_in_their_address_is_shown_nowhere() {
    let config = sound(&[]);
    assert_eq!((config.trace_endpoint, config.trace_sample_ratio), (None, 0.01));
    let set = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
    ];
    let config = sound(&set);
    assert_eq!(
        config.trace_endpoint.map(|endpoint| endpoint.to_string()).as_deref(),
        Some("http://localhost:4318")
    );
    assert_eq!(config.trace_sample_ratio, 0.5);
    let wrong = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@localhost:4318"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
    ];
    let reading = reading(&wrong);
    assert_eq!(reading.invalid.len(), 2);
    assert!(!format!("{reading:?}").contains("hunter2"), "{reading:?}");
}

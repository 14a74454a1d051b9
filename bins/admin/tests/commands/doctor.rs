//! What `doctor` finds of settings, databases and Redis, and what `config` shows.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mercurio_domain::testing::FixedClock;
use mercurio_storage::testing::TestDatabase;
use serde_json::Value;

use crate::bench::{Bench, json_of};

/// A machine whose clock is right.
fn bench(settings: &[(&'static str, &str)]) -> Bench {
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    Bench { clock: FixedClock::at(&now), ..Bench::with(settings) }
}

/// What was found, with the exit code: `check` and `state` in their order.
fn examine(bench: &Bench) -> (u8, Value, Vec<(String, String)>) {
    let (code, out, err) = bench.run(&["doctor"]);
    assert!(!out.contains("hunter2") && err.is_empty(), "{out} {err}");
    let printed: Value = serde_json::from_str(&out).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let checks = printed["checks"].as_array().expect("checks");
    let states =
        checks.iter().map(|check| (text(&check["check"]), text(&check["state"]))).collect();
    for check in checks {
        assert_eq!(check["advice"].is_null(), check["state"] == "ok", "{check}");
    }
    (code, printed, states)
}

#[track_caller]
fn check(bench: &Bench, code: u8, expected: &[(&str, &str)]) -> Value {
    let (found_code, printed, states) = examine(bench);
    let states: Vec<_> = states.iter().map(|(check, state)| (&**check, &**state)).collect();
    assert_eq!((found_code, &states[..]), (code, expected), "{printed:#}");
    printed
}

#[test]
fn a_sound_file_is_found_to_be_sound() {
    let database = TestDatabase::sqlite();
    let bench = bench(&[("DATABASE_URL", &database.url_text())]);
    let checks = ["settings", "database", "schema", "free space", "rights", "redis"]
        .map(|check| (check, "ok"));
    let (code, printed, states) = examine(&bench);
    // How much room there is depends on the machine of the test.
    let but_room = |(check, _): &&(String, String)| check != "free space";
    let expected = checks.map(|(check, state)| (check.to_owned(), state.to_owned()));
    assert!(states.iter().filter(but_room).eq(expected.iter().filter(but_room)), "{printed:#}");
    assert!(states.iter().any(|(check, _)| check == "free space"), "{printed:#}");
    assert_eq!(code == 1, printed["state"] == "failed");
}

#[test]
fn a_schema_of_a_newer_release_is_a_warning_where_it_can_be_shared_and_else_fails() {
    let database = TestDatabase::sqlite();
    let bench = bench(&[("DATABASE_URL", &database.url_text())]);
    database.apply_newer_migration();
    let schema = |printed: &Value| {
        let checks = printed["checks"].as_array().expect("checks");
        let schema =
            checks.iter().find(|check| check["check"] == "schema").expect("a check of the schema");
        assert!(
            schema["found"].as_str().expect("a text").contains(TestDatabase::NEWER),
            "{schema}"
        );
        schema["state"].clone()
    };
    assert_eq!(schema(&examine(&bench).1), "warning");
    database.require_newer_program();
    assert_eq!(schema(&examine(&bench).1), "failed");
}

#[test]
fn a_file_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mercurio.db");
    let bench = bench(&[("DATABASE_URL", &format!("sqlite://{}", path.display()))]);
    check(&bench, 0, &[("settings", "ok"), ("database", "warning"), ("redis", "ok")]);
    assert!(!path.exists());
}

#[test]
fn a_server_that_may_lose_what_it_stored_fails() {
    // The server of the tests runs with fsync off.
    let database = TestDatabase::postgres();
    let expected = [
        ("settings", "ok"),
        ("database", "ok"),
        ("schema", "ok"),
        ("free space", "ok"),
        ("clock", "ok"),
        ("durability", "failed"),
        ("rights", "ok"),
        ("partitions", "ok"),
        ("redis", "ok"),
    ];
    let printed = check(&bench(&[("DATABASE_URL", &database.url_text())]), 1, &expected);
    let durability = &printed["checks"][5];
    assert!(durability["advice"].as_str().unwrap().contains("fsync"), "{durability}");
    // The bench's own clock stands days behind.
    let late = Bench::with(&[("DATABASE_URL", &database.url_text())]);
    assert!(examine(&late).2.contains(&("clock".to_owned(), "warning".to_owned())));
}

#[test]
fn a_schema_that_is_not_there_fails_on_postgres_unless_the_server_makes_it() {
    let database = TestDatabase::empty_postgres();
    let url = database.url_text();
    let state = |settings: &[(&'static str, &str)]| examine(&bench(settings)).2[2].clone();
    assert_eq!(state(&[("DATABASE_URL", &url)]), ("schema".to_owned(), "failed".to_owned()));
    let own = [("DATABASE_URL", &*url), ("MERCURIO_AUTO_MIGRATE", "true")];
    assert_eq!(state(&own), ("schema".to_owned(), "warning".to_owned()));
}

#[test]
fn a_database_that_is_away_ends_with_its_own_code() {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port();
    let url = format!("postgres://u:hunter2@127.0.0.1:{port}/m");
    let redis = format!("redis://:hunter2@127.0.0.1:{port}/0");
    let bench = bench(&[("DATABASE_URL", &url), ("MERCURIO_REDIS_URL", &redis)]);
    check(&bench, 69, &[("settings", "ok"), ("database", "failed"), ("redis", "failed")]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "this is no database, but a text that is as long as one begins".repeat(100),
    )
    .unwrap();
    let bench = self::bench(&[("DATABASE_URL", &format!("sqlite://{}", file.path().display()))]);
    check(&bench, 69, &[("settings", "ok"), ("database", "failed"), ("redis", "ok")]);
}

#[test]
fn every_wrong_setting_is_found_and_the_rest_is_looked_at() {
    let database = TestDatabase::sqlite();
    let bench = bench(&[
        ("DATABASE_URL", &database.url_text()),
        ("MERCURIO_ADDR", "nowhere"),
        ("MERCURIO_QUEUE_EVENT", "1"),
        ("MERCURIO_GEOIP_DB", "nowhere/places.mmdb"),
        ("MERCURIO_REDIS_URL", "http://:hunter2@localhost"),
    ]);
    let (code, _, states) = examine(&bench);
    let failed =
        states.iter().filter(|(check, state)| check == "settings" && state == "failed").count();
    assert_eq!((code, failed), (1, 4), "{states:?}");
    assert!(states.contains(&("database".to_owned(), "ok".to_owned())));
}

#[test]
fn a_redis_that_answers_is_told_with_its_version() {
    struct Redis(Child);
    impl Drop for Redis {
        fn drop(&mut self) {
            self.0.kill().and_then(|()| self.0.wait()).ok();
        }
    }
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let mut redis = Command::new("redis-server");
    redis.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--requirepass",
        "hunter2",
    ]);
    let redis =
        redis.arg("--dir").arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let _redis = Redis(redis.expect("redis-server is there"));
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "redis does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    let database = TestDatabase::sqlite();
    let look = |password: &str| {
        let url = format!("redis://:{password}@127.0.0.1:{port}/0");
        let settings = [("DATABASE_URL", &*database.url_text()), ("MERCURIO_REDIS_URL", &url)]
            .map(|(name, value)| (name, value.to_owned()));
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let bench =
            Bench { clock: FixedClock::at(&now), settings: settings.to_vec(), ..Bench::default() };
        let (code, printed, _) = examine(&bench);
        (code, printed["checks"].as_array().unwrap().last().unwrap().clone())
    };
    let (code, redis) = look("hunter2");
    let found = redis["found"].as_str().unwrap();
    assert!(code == 0 && found.contains("version ") && !found.contains("unknown"), "{redis}");
    let (code, redis) = look("wrong");
    assert!(code == 1 && redis["state"] == "failed", "{redis}");
}

#[test]
fn config_shows_what_is_in_force_and_hides_passwords() {
    let bench = Bench::with(&[
        ("DATABASE_URL", "postgres://u:hunter2@localhost/m"),
        ("MERCURIO_REDIS_URL", "redis://:hunter2@localhost/1"),
        ("MERCURIO_QUEUE_EVENTS", "7"),
    ]);
    let told = bench.run(&["config"]);
    assert!(!told.1.contains("hunter2"));
    let printed = json_of(&told);
    let settings = printed["settings"].as_array().unwrap();
    let find = |name: &str| settings.iter().find(|setting| setting["name"] == name).unwrap();
    assert_eq!(find("DATABASE_URL")["value"], "postgres://u:***@localhost/m");
    let queue = find("MERCURIO_QUEUE_EVENTS");
    assert_eq!((&queue["value"], &queue["source"]), (&"7".into(), &"environment".into()));
    assert_eq!((&queue["unit"], &queue["default"]), (&"events".into(), &"50000".into()));
    let bench = Bench { is_terminal: true, ..bench };
    assert!(bench.run(&["config"]).1.lines().next().unwrap().starts_with("name"));
    let (code, out, err) =
        Bench::with(&[("MERCURIO_ADDR", "x"), ("MERCURIO_ODD", "1")]).run(&["config"]);
    assert_eq!((code, &*out), (64, ""));
    assert!(err.contains("MERCURIO_ADDR") && err.contains("MERCURIO_ODD"), "{err}");
}

//! `doctor` and `config`.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use mercurio_domain::testing::FixedClock;
use mercurio_storage::testing::{TestDatabase, wait_for};
use serde_json::Value;

use crate::test_machine::TestMachine;

/// A machine with the right time, so that the clock check passes.
fn machine(settings: &[(&'static str, &str)]) -> TestMachine {
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    TestMachine { clock: FixedClock::at(&now), ..TestMachine::with(settings) }
}

struct Diagnosis {
    code: u8,
    printed: Value,
    states: Vec<CheckState>,
}

#[derive(Debug, PartialEq, Eq)]
struct CheckState {
    check: String,
    state: String,
}

impl CheckState {
    fn new(check: &str, state: &str) -> Self {
        Self { check: check.to_owned(), state: state.to_owned() }
    }
}

fn diagnose(machine: &TestMachine) -> Diagnosis {
    let doctor = machine.run("doctor");
    assert!(
        !doctor.out.contains("hunter2") && doctor.err.is_empty(),
        "{} {}",
        doctor.out,
        doctor.err
    );
    let printed: Value = serde_json::from_str(&doctor.out).expect("JSON");
    let mut states = Vec::new();
    for check in printed["checks"].as_array().expect("checks") {
        // Every finding has advice, and only a finding has.
        assert_eq!(check["advice"].is_null(), check["state"] == "ok", "{check}");
        let name = check["check"].as_str().expect("a string");
        states.push(CheckState::new(name, check["state"].as_str().expect("a string")));
    }
    Diagnosis { code: doctor.code, printed, states }
}

fn check_of(printed: &Value, name: &str) -> Value {
    let checks = printed["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["check"] == name).expect("the check").clone()
}

#[track_caller]
fn check(machine: &TestMachine, code: u8, expected: &[(&str, &str)]) -> Value {
    let diagnosis = diagnose(machine);
    let expected: Vec<_> =
        expected.iter().map(|(check, state)| CheckState::new(check, state)).collect();
    let Diagnosis { code: found_code, printed, mut states } = diagnosis;
    // The last check depends on the machine of the test.
    assert_eq!(states.pop().map(|last| last.check).as_deref(), Some("open files"));
    assert_eq!((found_code, states), (code, expected), "{printed:#}");
    printed
}

#[test]
fn usable_sqlite_file_passes_every_check() {
    let database = TestDatabase::sqlite();
    let Diagnosis { code, printed, states } =
        diagnose(&machine(&[("DATABASE_URL", &database.url_text())]));
    let checks: Vec<_> = states.iter().map(|check| &*check.check).collect();
    let expected =
        ["settings", "database", "schema", "free space", "rights", "redis", "open files"];
    assert_eq!(checks, expected);
    // These depend on the machine of the test.
    let of_machine = ["free space", "open files"];
    for check in states.iter().filter(|check| !of_machine.contains(&&*check.check)) {
        assert_eq!(check.state, "ok", "{printed:#}");
    }
    assert_eq!(code == 1, printed["state"] == "failed");
}

#[test]
fn newer_schema_is_a_warning_if_compatible() {
    let database = TestDatabase::sqlite();
    let machine = machine(&[("DATABASE_URL", &database.url_text())]);
    database.apply_newer_migration();
    assert_eq!(newer_schema_state(&machine), "warning");
    database.require_newer_program();
    assert_eq!(newer_schema_state(&machine), "failed");
}

fn newer_schema_state(machine: &TestMachine) -> Value {
    let printed = diagnose(machine).printed;
    let checks = printed["checks"].as_array().expect("checks");
    let schema = checks.iter().find(|check| check["check"] == "schema").expect("a schema check");
    let found = schema["found"].as_str().expect("a string");
    assert!(found.contains(TestDatabase::NEWER), "{schema}");
    schema["state"].clone()
}

#[test]
fn missing_sqlite_file_is_a_warning_and_is_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mercurio.db");
    let machine = machine(&[("DATABASE_URL", &format!("sqlite://{}", path.display()))]);
    check(&machine, 0, &[("settings", "ok"), ("database", "warning"), ("redis", "ok")]);
    // `doctor` changes nothing.
    assert!(!path.exists());
}

#[test]
fn postgres_with_fsync_off_fails_the_durability_check() {
    // The PostgreSQL of the tests runs with fsync off.
    let database = TestDatabase::postgres();
    let expected = [
        ("settings", "ok"),
        ("database", "ok"),
        ("schema", "ok"),
        ("free space", "ok"),
        ("clock", "ok"),
        ("durability", "failed"),
        ("replication", "ok"),
        ("language", "ok"),
        ("pooler", "ok"),
        ("rights", "ok"),
        ("row security", "ok"),
        ("partitions", "ok"),
        ("redis", "ok"),
    ];
    let machine = machine(&[("DATABASE_URL", &database.url_text())]);
    let printed = check(&machine, 1, &expected);
    // The sixth check, as listed above.
    let durability = &printed["checks"][5];
    assert!(durability["advice"].as_str().unwrap().contains("fsync"), "{durability}");
}

/// Runs `doctor` as a role with the statements of docs/OPERATIONS.md.
fn diagnose_as(documented: &str) -> Diagnosis {
    let database = TestDatabase::postgres();
    let role = format!("{documented}_{}", std::process::id());
    let text = include_str!("../../../../docs/OPERATIONS.md");
    let from = text.find(&format!("CREATE ROLE {documented} ")).expect("the statements");
    let statements = text[from..].split("```").next().expect("the end of the block");
    let statements = statements.replace(documented, &role);
    database.execute(&format!("DROP ROLE IF EXISTS {role}; {statements}"));
    let url = database.url_text().replace("postgres@", &format!("{role}@"));
    let diagnosis = diagnose(&machine(&[("DATABASE_URL", &url)]));
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    diagnosis
}

#[test]
fn documented_roles_fail_no_check_of_their_rights() {
    for (role, lacking) in [
        ("mercurio_server", "for mercurio-admin and retention it lacks INSERT on tenants"),
        ("mercurio_operator", "for a server it lacks INSERT on count_log"),
    ] {
        let Diagnosis { printed, states, .. } = diagnose_as(role);
        let rights = check_of(&printed, "rights");
        assert_eq!(rights["state"], "warning", "{rights}");
        assert!(rights["found"].as_str().unwrap().contains(lacking), "{rights}");
        assert_eq!(check_of(&printed, "row security")["state"], "ok");
        let failed: Vec<_> = states.iter().filter(|check| check.state == "failed").collect();
        // The PostgreSQL of the tests runs with fsync off.
        assert_eq!(failed, [&CheckState::new("durability", "failed")], "{printed:#}");
    }
}

#[test]
fn clock_years_behind_is_a_warning() {
    let database = TestDatabase::postgres();
    let clock = FixedClock::at("2020-01-01T00:00:00Z");
    let machine = TestMachine { clock, ..TestMachine::on(&database) };
    let states = diagnose(&machine).states;
    assert!(states.contains(&CheckState::new("clock", "warning")), "{states:?}");
}

#[test]
fn missing_schema_fails_on_postgres_without_auto_migrate() {
    let database = TestDatabase::empty_postgres();
    let url = database.url_text();
    let states = diagnose(&machine(&[("DATABASE_URL", &url)])).states;
    assert_eq!(states[2], CheckState::new("schema", "failed"));
    let auto_migrate = [("DATABASE_URL", &*url), ("MERCURIO_AUTO_MIGRATE", "true")];
    let states = diagnose(&machine(&auto_migrate)).states;
    assert_eq!(states[2], CheckState::new("schema", "warning"));
}

#[test]
fn unavailable_database_has_its_own_exit_code() {
    let port = free_port();
    let url = format!("postgres://u:hunter2@127.0.0.1:{port}/m");
    let redis = format!("redis://:hunter2@127.0.0.1:{port}/0");
    let machine = machine(&[("DATABASE_URL", &url), ("MERCURIO_REDIS_URL", &redis)]);
    check(&machine, 69, &[("settings", "ok"), ("database", "failed"), ("redis", "failed")]);
    let file = tempfile::NamedTempFile::new().unwrap();
    // Longer than the header of a SQLite file, 100 bytes: an empty file would be a database.
    std::fs::write(file.path(), "not a database, but longer than the header of one".repeat(100))
        .unwrap();
    let machine =
        self::machine(&[("DATABASE_URL", &format!("sqlite://{}", file.path().display()))]);
    check(&machine, 69, &[("settings", "ok"), ("database", "failed"), ("redis", "ok")]);
}

#[test]
fn invalid_settings_do_not_stop_the_other_checks() {
    let database = TestDatabase::sqlite();
    let machine = machine(&[
        ("DATABASE_URL", &database.url_text()),
        ("MERCURIO_ADDR", "nowhere"),
        // Misspelled: there is no such setting.
        ("MERCURIO_QUEUE_EVENT", "1"),
        ("MERCURIO_GEOIP_DB", "nowhere/places.mmdb"),
        ("MERCURIO_REDIS_URL", "http://:hunter2@localhost"),
    ]);
    let Diagnosis { code, states, .. } = diagnose(&machine);
    let invalid = CheckState::new("settings", "failed");
    assert_eq!(code, 1);
    // The address, the misspelled name, the GeoIP file and the Redis URL.
    assert_eq!(states.iter().filter(|check| **check == invalid).count(), 4, "{states:?}");
    assert!(states.contains(&CheckState::new("database", "ok")), "{states:?}");
}

/// A Redis with the password `hunter2`.
struct Redis {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Redis {
    fn start() -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().expect("a folder");
        let process = Command::new("redis-server")
            // No snapshots: the test needs nothing on disk.
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--requirepass", "hunter2", "--dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server runs");
        // Constructed first, so that a failure below ends the process.
        let redis = Self { process, port, _folder: folder };
        wait_for("Redis listens", || TcpStream::connect(("127.0.0.1", port)));
        redis
    }

    fn machine(&self, database: &TestDatabase, password: &str) -> TestMachine {
        let url = format!("redis://:{password}@127.0.0.1:{}/0", self.port);
        machine(&[("DATABASE_URL", &database.url_text()), ("MERCURIO_REDIS_URL", &url)])
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).ok();
    }
}

/// A port without a listener.
fn free_port() -> u16 {
    // Closed again at the end, so a connection is refused at once.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.expect("a free port").port()
}

#[test]
fn redis_check_reports_the_version_and_a_wrong_password() {
    let redis = Redis::start();
    let database = TestDatabase::sqlite();
    let Diagnosis { code, printed, .. } = diagnose(&redis.machine(&database, "hunter2"));
    let check = check_of(&printed, "redis");
    let found = check["found"].as_str().unwrap();
    assert!(code == 0 && found.contains("version ") && !found.contains("unknown"), "{check}");
    let Diagnosis { code, printed, .. } = diagnose(&redis.machine(&database, "wrong"));
    let check = check_of(&printed, "redis");
    assert!(code == 1 && check["state"] == "failed", "{check}");
}

#[test]
fn config_lists_settings_and_hides_passwords() {
    let machine = TestMachine::with(&[
        ("DATABASE_URL", "postgres://u:hunter2@localhost/m"),
        ("MERCURIO_REDIS_URL", "redis://:hunter2@localhost/1"),
        ("MERCURIO_QUEUE_EVENTS", "7"),
    ]);
    let config = machine.run("config");
    assert!(!config.out.contains("hunter2"));
    let printed = config.json();
    let settings = printed["settings"].as_array().unwrap();
    let find = |name: &str| settings.iter().find(|setting| setting["name"] == name).unwrap();
    assert_eq!(find("DATABASE_URL")["value"], "postgres://u:***@localhost/m");
    let queue = find("MERCURIO_QUEUE_EVENTS");
    assert_eq!((&queue["value"], &queue["source"]), (&"7".into(), &"environment".into()));
    assert_eq!((&queue["unit"], &queue["default"]), (&"events".into(), &"50000".into()));
    let machine = TestMachine { is_terminal: true, ..machine };
    assert!(machine.run("config").out.lines().next().unwrap().starts_with("Name"));
}

#[test]
fn config_reports_every_invalid_setting() {
    let config = TestMachine::with(&[("MERCURIO_ADDR", "x"), ("MERCURIO_ODD", "1")]).run("config");
    assert_eq!((config.code, &*config.out), (64, ""));
    assert!(config.err.contains("MERCURIO_ADDR"), "{}", config.err);
    assert!(config.err.contains("MERCURIO_ODD"), "{}", config.err);
}

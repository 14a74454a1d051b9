//! The program as a process: exit codes, stdout and stderr, on SQLite and PostgreSQL.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use mercurio_domain::Clock;
use mercurio_domain::api_key::PresentedKey;
use mercurio_domain::testing::{provisioning, submission};
use mercurio_runtime::system::SystemClock;
use mercurio_storage::testing::TestDatabase;
use serde_json::Value;

/// The program with these arguments and settings, without the environment of the test.
fn program(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mercurio-admin"));
    // Settings of a developer's shell must not change a test.
    command.args(arguments).env_clear().envs(settings.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(arguments: &[&str], url: &str) -> Child {
    program(arguments, &[("DATABASE_URL", url)]).spawn().expect("the program starts")
}

fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    program(arguments, settings).output().expect("the program runs")
}

/// Parses stdout after exit code 0.
#[track_caller]
fn json_of(output: &Output) -> Value {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    serde_json::from_slice(&output.stdout).expect("one JSON value on stdout")
}

/// Returns stderr after exit code `code` and an empty stdout.
#[track_caller]
fn stderr_of(output: &Output, code: i32) -> String {
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(err.starts_with("mercurio-admin: ") && !err.contains("panicked"), "{err}");
    err
}

fn both_databases() -> [TestDatabase; 2] {
    [TestDatabase::sqlite(), TestDatabase::postgres()]
}

#[test]
fn provisioned_key_authenticates_and_stays_out_of_stderr() {
    for database in both_databases() {
        let url = database.url_text();
        let output =
            run(&["provision", "--tenant", "Acme", "--samples"], &[("DATABASE_URL", &url)]);
        let printed = json_of(&output);
        let key = printed["api_key"]["key"].as_str().expect("a key");
        let presented = PresentedKey::parse(key).expect("a well-formed key");
        let stored =
            database.another_store().find_api_key(presented.id()).unwrap().expect("the key's row");
        assert!(presented.matches(&stored.secret_hash));
        assert_eq!(printed["samples"]["events"], 3);
        // A key is `mk_`, the public id, `_` and the secret.
        let (_, secret) = key.rsplit_once('_').unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains("printed only once") && !err.contains(secret), "{err}");
    }
}

#[test]
fn secret_is_not_in_the_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("new/mercurio.db").display());
    let printed = json_of(&run(&["provision", "--tenant", "Acme"], &[("DATABASE_URL", &url)]));
    let key = printed["api_key"]["key"].as_str().unwrap();
    let (id, secret) = key.strip_prefix("mk_").and_then(|rest| rest.split_once('_')).unwrap();
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder.path().join("new")).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    // The file has the public id, and only a hash of the secret.
    assert!(holds(id) && !holds(secret));
}

#[test]
fn concurrent_provisions_of_one_name_create_one_tenant() {
    for database in both_databases() {
        let url = database.url_text();
        // One name after trimming and folding.
        let names = ["Acme", " aCME "];
        // Both at once: the unique index decides.
        let children = names.map(|name| start(&["provision", "--tenant", name], &url));
        let outputs = children.map(|child| child.wait_with_output().expect("the program ends"));
        let mut codes = outputs.each_ref().map(|output| output.status.code());
        codes.sort_unstable();
        let errors = outputs.each_ref().map(|output| String::from_utf8_lossy(&output.stderr));
        assert_eq!(codes, [Some(0), Some(3)], "{errors:?}");
        let err = stderr_of(&run(&["provision", "--tenant", "ACME"], &[("DATABASE_URL", &url)]), 3);
        assert!(err.contains("ACME"), "{err}");
    }
}

#[test]
fn seed_can_run_at_every_start() {
    for database in both_databases() {
        let url = database.url_text();
        // As in a deployment that seeds before each start.
        let settings = [("DATABASE_URL", url.as_str()), ("SEED_TENANT_NAME", "Acme")];
        let first = json_of(&run(&["seed"], &settings));
        let again = run(&["seed"], &settings);
        let second = json_of(&again);
        assert!(first["api_key"]["key"].is_string());
        assert_eq!(second["api_key"], Value::Null);
        for member in ["tenant", "workspace", "created_at"] {
            assert_eq!(first[member], second[member]);
        }
        assert!(String::from_utf8_lossy(&again.stderr).contains("exists"));
    }
}

#[test]
fn migrate_applies_each_migration_once() {
    for database in [TestDatabase::empty_sqlite(), TestDatabase::empty_postgres()] {
        let url = database.url_text();
        let settings = [("DATABASE_URL", url.as_str())];
        let first = json_of(&run(&["migrate"], &settings));
        assert_eq!(first["backend"], database.store().backend().as_str());
        assert_eq!(first["state"], "current");
        assert!(first["applied"].as_array().is_some_and(|applied| !applied.is_empty()), "{first}");
        let second = json_of(&run(&["migrate"], &settings));
        assert_eq!(second["applied"].as_array().map(Vec::len), Some(0));
    }
}

#[test]
fn blocked_migration_reports_the_wait_and_then_finishes() {
    let database = TestDatabase::postgres();
    let url = database.url_text();
    let settings = [("DATABASE_URL", url.as_str())];
    let mut reader = Command::new("psql")
        .args(["-qX", "-v", "ON_ERROR_STOP=1", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql runs");
    let mut statements = reader.stdin.take().expect("its stdin");
    // An open transaction keeps its table locks (PostgreSQL manual, 13.3).
    let tables = "begin; select count(*) from events, rejections;";
    writeln!(statements, "{tables}").expect("psql reads");
    let mut answer = BufReader::new(reader.stdout.take().expect("its stdout"));
    answer.read_line(&mut String::new()).expect("the lock is held");

    let mut migrating =
        program(&["migrate", "down", "--yes"], &settings).spawn().expect("the program starts");
    let mut err = BufReader::new(migrating.stderr.take().expect("its stderr"));
    let mut line = String::new();
    // Printed during the wait: psql still holds the lock.
    err.read_line(&mut line).expect("a line");
    assert!(
        line.starts_with("mercurio-admin: ") && line.contains("table lock: attempt 1 timed out"),
        "{line}"
    );
    // The end of its input ends psql, its transaction and its lock.
    drop(statements);
    assert!(reader.wait().expect("psql ends").success());
    let output = migrating.wait_with_output().expect("the program ends");
    let reverted = json_of(&output)["reverted"].clone();
    assert!(reverted.is_string(), "{reverted}");
}

#[test]
fn provision_on_postgres_requires_migrate() {
    let database = TestDatabase::empty_postgres();
    let url = database.url_text();
    let settings = [("DATABASE_URL", url.as_str())];
    let err = stderr_of(&run(&["provision", "--tenant", "Acme"], &settings), 1);
    assert!(err.contains("mercurio-admin migrate"), "{err}");
    json_of(&run(&["migrate"], &settings));
    json_of(&run(&["provision", "--tenant", "Acme"], &settings));
}

#[test]
fn usage_errors_go_to_stderr() {
    // A usage error must be found before the database is opened.
    let settings = [("DATABASE_URL", "sqlite://never/opened.db")];
    for line in [
        &[][..],
        &["destroy"],
        &["provision"],
        &["provision", "--tenant", " "],
        &["migrate", "--now"],
    ] {
        stderr_of(&run(line, &settings), 64);
    }
    for url in [
        "",
        "mercurio.db",
        "mysql://u:hunter2@localhost/d",
        "postgres://u:hunter2@localhost:port/d",
    ] {
        let err = stderr_of(&run(&["migrate"], &[("DATABASE_URL", url)]), 64);
        assert!(err.contains("DATABASE_URL") && !err.contains("hunter2"), "{err}");
    }
    let err = stderr_of(&run(&["seed"], &[]), 64);
    assert!(err.contains("SEED_TENANT_NAME"), "{err}");
}

#[test]
fn default_database_is_not_created_by_reading() {
    let folder = tempfile::tempdir().unwrap();
    let read = |line: &[&str]| program(line, &[]).current_dir(folder.path()).output().unwrap();
    let path = folder.path().canonicalize().unwrap().join("data/mercurio.db");
    for line in [&["tenant", "list"][..], &["audit", "list"], &["migrate", "status"]] {
        let err = stderr_of(&read(line), 1);
        assert!(err.contains(path.to_str().unwrap()), "{err}");
    }
    json_of(&read(&["doctor"]));
    json_of(&read(&["config"]));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    json_of(&read(&["migrate"]));
    json_of(&read(&["tenant", "list"]));
}

#[test]
fn unreachable_database_is_reported_without_its_password() {
    // A port without a listener, and a path below a file instead of a folder.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = format!("sqlite://{}/mercurio.db", file.path().display());
    for url in [format!("postgres://u:hunter2@127.0.0.1:{port}/d"), below] {
        for line in [&["migrate"][..], &["provision", "--tenant", "Acme"]] {
            let err = stderr_of(&run(line, &[("DATABASE_URL", &url)]), 69);
            assert!(!err.contains("hunter2"), "{err}");
            // The error with its causes, and no backtrace.
            assert_eq!(err.lines().count(), 1, "{err}");
        }
    }
}

/// Returns the usage in the output of `tenant show`.
fn shown_usage(url: &str) -> u64 {
    let line = ["tenant", "show", "Acme", "--output", "json"];
    let printed = json_of(&run(&line, &[("DATABASE_URL", url)]));
    printed["usage"]["events"].as_u64().expect("a number")
}

#[test]
fn usage_in_tenant_show_agrees_with_the_rows_under_load() {
    for database in both_databases() {
        let url = database.url_text();
        let store = database.store();
        let (request, _) = provisioning("Acme", 1, SystemClock.now());
        let owner = store.provision(&request).expect("a tenant").api_key.owner;
        let rows = || store.count_events(owner).expect("a number");
        assert_eq!(shown_usage(&url), 0);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let ids = [format!("{number} a"), format!("{number} b")];
                    let group = [submission(owner, SystemClock.now(), &[&ids[0], &ids[1]])];
                    store.append(&group).expect("stored");
                    if number % 7 == 0 {
                        store.sum_counts().expect("summed");
                    }
                }
            });
            for _ in 0..10 {
                let (before, shown, after) = (rows(), shown_usage(&url), rows());
                assert!((before..=after).contains(&shown), "{before} {shown} {after}");
            }
            is_over.store(true, Ordering::SeqCst);
        });
        assert_eq!(shown_usage(&url), rows());
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for line in [&["--help"][..], &["provision", "--help"], &["--version"]] {
        let output = run(line, &[]);
        assert_eq!(output.status.code(), Some(0), "{line:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("mercurio-admin"), "{line:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line:?}");
    }
}

/// Runs the program in a shell, with `redirect` behind its arguments.
fn run_redirected(arguments: &[&str], redirect: &str, url: &str) -> Output {
    let script = format!("exec \"$0\" \"$@\" {redirect}");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_mercurio-admin")]).args(arguments);
    let command = command.env_clear().env("DATABASE_URL", url).env("SEED_TENANT_NAME", "Acme");
    command.stdin(Stdio::null()).output().expect("the program runs")
}

/// The keys of the tenant Acme, oldest first.
fn keys_of_acme(url: &str) -> Vec<Value> {
    let listed = json_of(&run(&["key", "list", "--tenant", "Acme"], &[("DATABASE_URL", url)]));
    listed["api_keys"].as_array().expect("keys").clone()
}

#[test]
fn no_key_is_made_without_a_stdout() {
    let database = TestDatabase::sqlite();
    let url = database.url_text();
    for redirect in [">&-", ">/dev/null"] {
        stderr_of(&run_redirected(&["seed"], redirect, &url), 1);
        stderr_of(&run_redirected(&["provision", "--tenant", "Other"], redirect, &url), 1);
    }
    let seeded = json_of(&run_redirected(&["seed"], "", &url));
    let id = seeded["api_key"]["id"].as_str().unwrap();
    for redirect in [">&-", ">/dev/null"] {
        for line in [&["key", "create", "--tenant", "Acme"][..], &["key", "rotate", id]] {
            let err = stderr_of(&run_redirected(line, redirect, &url), 1);
            assert!(err.contains("no key was created"), "{err}");
        }
        // The tenant exists, so there is no key to print.
        stderr_of(&run_redirected(&["seed"], redirect, &url), 0);
    }
    let keys = keys_of_acme(&url);
    assert_eq!((keys.len(), &keys[0]["expires_at"]), (1, &Value::Null));
    let tenants = json_of(&run(&["tenant", "list"], &[("DATABASE_URL", &url)]));
    assert_eq!(tenants["tenants"].as_array().map(Vec::len), Some(1));
}

#[test]
fn key_that_cannot_be_written_is_revoked() {
    let database = TestDatabase::sqlite();
    let url = database.url_text();
    let printed = json_of(&run(&["provision", "--tenant", "Acme"], &[("DATABASE_URL", &url)]));
    let id = printed["api_key"]["id"].as_str().unwrap();
    for line in [&["key", "create", "--tenant", "Acme"][..], &["key", "rotate", id]] {
        // A full disk.
        let err = stderr_of(&run_redirected(line, ">/dev/full", &url), 1);
        let lost = keys_of_acme(&url).pop().expect("a key");
        let lost_id = lost["id"].as_str().unwrap();
        assert!(lost_id != id && err.contains(lost_id) && err.contains("was revoked"), "{err}");
        assert_eq!(lost["status"], "revoked");
    }
    let kept = &keys_of_acme(&url)[0];
    assert_eq!((&kept["id"], &kept["expires_at"]), (&printed["api_key"]["id"], &Value::Null));
}

#[test]
fn only_a_new_key_needs_a_reader_to_its_end() {
    let database = TestDatabase::sqlite();
    let url = database.url_text();
    json_of(&run(&["provision", "--tenant", "Acme", "--samples"], &[("DATABASE_URL", &url)]));
    let lines = [
        (&["--help"][..], 0),
        (&["completion", "bash"], 0),
        (&["tenant", "list"], 0),
        (&["tenant", "create", "Other"], 0),
        (&["events", "list", "--tenant", "Acme"], 0),
        (&["events", "export", "--tenant", "Acme"], 0),
        (&["config"], 0),
        (&["doctor"], 0),
        (&["provision", "--tenant", "Third"], 1),
        (&["key", "create", "--tenant", "Acme"], 1),
    ];
    for (line, code) in lines {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = program(line, &[("DATABASE_URL", &url)]);
        let output = command
            .stdout(writer)
            .spawn()
            .and_then(Child::wait_with_output)
            .expect("the program ends");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line:?} {err}");
        assert!(!err.contains("panicked") && !err.contains("pipe") || code == 1, "{line:?} {err}");
    }
}

/// Runs the program on a terminal of 60 columns, and returns what the terminal received.
fn run_on_terminal(line: &str, settings: &[(&str, &str)]) -> String {
    type_on_terminal(line, "", settings)
}

/// Like [`run_on_terminal`], with a person who types.
fn type_on_terminal(line: &str, typed: &str, settings: &[(&str, &str)]) -> String {
    let program = env!("CARGO_BIN_EXE_mercurio-admin");
    // A program that hangs fails the test, and soon.
    let script = format!("stty cols 60 && exec timeout --foreground 60 '{program}' {line}");
    // util-linux's `script` runs a command on a terminal of its own.
    let mut command = Command::new("script");
    command.args(["-qec", &script, "/dev/null"]).env_clear().envs(settings.iter().copied());
    command.env("PATH", std::env::var_os("PATH").expect("PATH"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().expect("script runs");
    running.stdin.take().expect("its stdin").write_all(typed.as_bytes()).expect("typed");
    let output = running.wait_with_output().expect("script ends");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn terminal_gets_a_table_of_its_width_and_colours() {
    let database = TestDatabase::sqlite();
    let url = database.url_text();
    json_of(&run(&["provision", "--tenant", "Acme", "--samples"], &[("DATABASE_URL", &url)]));
    let colours = [("DATABASE_URL", url.as_str()), ("TERM", "xterm")];
    let keys = run_on_terminal("key list --tenant acme", &colours);
    assert!(keys.contains("\u{1b}[1mID") && keys.contains("\u{1b}[32mactive"), "{keys:?}");
    for without in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let settings = [colours[0], colours[1], without];
        let keys = run_on_terminal("key list --tenant acme", &settings);
        assert!(keys.contains("active") && !keys.contains('\u{1b}'), "{keys:?}");
        assert!(keys.lines().all(|line| line.chars().count() <= 60), "{keys}");
    }
    // A format for programs is the same on a terminal.
    let json = run_on_terminal("tenant list --output json", &colours);
    let parsed: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(parsed["tenants"][0]["name"], "Acme");
}

#[test]
fn deletions_are_confirmed_on_a_terminal() {
    let database = TestDatabase::sqlite();
    let url = database.url_text();
    let settings = [("DATABASE_URL", url.as_str()), ("TERM", "xterm")];
    let printed = json_of(&run(&["provision", "--tenant", "Acme", "--samples"], &settings));
    let id = printed["api_key"]["id"].as_str().expect("an id");
    let erase = "events erase --tenant Acme --user-id sample-user";
    for (line, typed, question, result) in [
        (erase, "no\n", "deletes 2 events and 0 rejections of the person", "not confirmed"),
        (erase, "yes\n", "deletes 2 events and 0 rejections of the person", "Removed"),
        ("events purge --older-than 0s --tenant Acme", "YES\n", "deletes 1 event of", "Removed"),
        (&format!("key revoke {id}"), "yes\n", "never used", "revoked"),
        (&format!("key revoke {id}"), "", "already revoked", "revoked"),
    ] {
        let shown = type_on_terminal(line, typed, &settings);
        // A terminal of 60 columns wraps long lines by itself, so the text has no line breaks.
        assert!(shown.contains(question) && shown.contains(result), "{line}: {shown}");
    }
}

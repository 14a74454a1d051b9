//! The first run on an empty SQLite file: its key is shown once, whatever fails before, and its
//! commands work in the shells of people.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::server::{Server, command, end, free_port, set_up};

/// Returns the first API key in a text.
pub(crate) fn key_in(text: &str) -> Option<&str> {
    let key = &text[text.find("mk_")?..];
    let end = key.find(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))?;
    Some(&key[..end])
}

/// A folder for a database that does not exist yet.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.0.path().join("new/mercurio.db").display())
    }

    /// Starts and stops a server. Returns its log and stderr.
    fn run(&self) -> (Vec<String>, String) {
        let server = Server::start(&self.url());
        server.signal("INT");
        let (status, stdout, stderr) = server.wait();
        assert_eq!(status.code(), Some(0));
        (stdout, stderr)
    }
}

/// Returns the commands of a greeting that store an event.
fn commands(greeting: &str) -> String {
    let from = greeting.find("  export KEY=").expect("the greeting has commands");
    greeting[from..].split("\n\n").next().unwrap_or_default().to_owned() + "\n"
}

/// Types into an interactive shell. Returns its output.
fn type_into(shell: &[&str], text: &str) -> String {
    let mut child = Command::new(shell[0])
        .args(&shell[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", shell[0]));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn greeting_has_commands_for_every_shell() {
    let place = Place::new();
    let port = free_port();
    let start =
        || Server::with(command(&place.url()).env("MERCURIO_ADDR", format!("127.0.0.1:{port}")));
    let server = start();
    server.signal("INT");
    let (_, stdout, stderr) = server.wait();
    let key = key_in(&stderr).expect("the greeting has a key");
    assert!(stdout.iter().all(|line| !line.contains(key)), "the key is not in the log");

    let server = start();
    let commands = commands(&stderr);
    // Interactive: zsh then takes no comments.
    let shells = [&["bash", "--norc", "-is"][..], &["zsh", "-fis"], &["sh"], &["fish"]];
    for (index, shell) in shells.into_iter().enumerate() {
        let answer = type_into(shell, &commands);
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"));
        let verdict = if index == 0 { "accepted" } else { "duplicate" };
        assert_eq!(answer["results"][0]["status"], verdict, "{shell:?}: {answer}");
    }
    server.signal("INT");
    let (_, _, stderr) = server.wait();
    assert_eq!(stderr, "", "the key is shown once");
}

#[test]
fn failed_starts_make_no_key_and_the_first_good_one_shows_it() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let not_places = place.0.path().join("not-places.mmdb");
    std::fs::write(&not_places, "text").unwrap();
    let not_places = not_places.to_str().unwrap();
    for (setting, value, code) in [
        ("MERCURIO_ADDR", &*taken, 1),
        ("MERCURIO_ADDR", "localhost", 64),
        ("MERCURIO_MANAGEMENT_ADDR", &taken, 1),
        ("MERCURIO_MANAGEMENT_ADDR", "9091", 64),
        ("MERCURIO_MANAGEMENT_ADDR", "192.0.2.1:9091", 1),
        ("MERCURIO_GEOIP_DB", "nowhere.mmdb", 1),
        ("MERCURIO_GEOIP_DB", not_places, 1),
    ] {
        let (found, stderr) = end(command(&place.url()).env(setting, value));
        assert_eq!(found, code, "{stderr}");
        assert!(stderr.contains(setting), "{stderr}");
        assert_eq!(key_in(&stderr), None);
    }
    let (_, stderr) = place.run();
    assert!(key_in(&stderr).is_some(), "{stderr}");
}

/// Returns a `PATH` with `mercurio-admin`, which a build of the workspace puts next to this program.
fn path_with_admin() -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_mercurio-ingest")).parent().unwrap();
    assert!(folder.join("mercurio-admin").exists(), "build mercurio-admin first");
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

#[test]
fn unused_key_of_the_first_run_can_be_replaced() {
    const MESSAGE: &str = "API key never used";
    let place = Place::new();
    place.run();
    let server = Server::start(&place.url());
    let advice = server.line(MESSAGE)["advice"].as_str().unwrap().to_owned();
    let (_, command) = advice.split_once(": ").unwrap();
    let output = Command::new("sh").args(["-c", command]).env("PATH", path_with_admin()).output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    let key = key_in(&output).expect("the command makes a key");
    let answer = Client::connect(server.addr).unwrap().batch(&["a".to_owned()], key).unwrap();
    assert_eq!(answer.status, 200);
    server.signal("INT");
    server.wait();
    // The use was written at the end.
    let (stdout, _) = place.run();
    assert!(stdout.iter().all(|line| !line.contains(MESSAGE)), "{stdout:?}");
}

/// Runs a server on a pseudo-terminal until it listens. Returns what the terminal showed.
fn run_on_terminal(place: &Place) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let terminal = open(ptsname(&master, Vec::new()).unwrap(), flags, Mode::empty()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mercurio-ingest"));
    set_up(&mut command, &place.url());
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command.stdout(terminal.try_clone().unwrap()).stderr(terminal);
    let mut child = command.spawn().unwrap();
    // With it, the end of the server closes the terminal.
    drop(command);
    let mut shown = String::new();
    // Its last read fails: nothing is left on the other side.
    for line in BufReader::new(std::fs::File::from(master)).lines().map_while(Result::ok) {
        if line.contains(" listening, ") {
            let kill = format!("kill -INT {}", child.id());
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        }
        shown += &line;
        shown.push('\n');
    }
    assert!(child.wait().unwrap().success());
    shown
}

#[test]
fn terminal_shows_the_greeting_before_the_log() {
    let place = Place::new();
    let shown = run_on_terminal(&place);
    let log = shown.find("settings loaded").expect("the log follows");
    let greeting = shown[..log].rsplit_once('\n').expect("a line before the log").0;
    assert!(key_in(greeting).is_some() && greeting.contains("/docs"), "{shown}");
    for line in greeting.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!shown.contains("MERCURIO_MAX_BATCH_EVENTS"), "a default: {shown}");

    let shown = run_on_terminal(&place);
    let hint = "mercurio-admin key create --tenant default";
    assert!(shown.contains(hint) && key_in(&shown).is_none(), "{shown}");
}

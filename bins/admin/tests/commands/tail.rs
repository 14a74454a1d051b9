//! The tail of a workspace's feed.

use std::ffi::OsString;
use std::io;

use mercurio_admin::{Exit, run};
use mercurio_domain::Owner;
use mercurio_domain::testing::{at, submission};
use mercurio_storage::testing::TestDatabase;
use serde_json::Value;

use crate::test_machine::{RunOutput, TestMachine, owner_of};

const TAIL: &str = "events tail --tenant acme --workspace default";

struct Fixture {
    machine: TestMachine,
    database: TestDatabase,
    owner: Owner,
}

fn fixture() -> Fixture {
    let database = TestDatabase::sqlite();
    let machine = TestMachine::on(&database);
    let owner = owner_of(&machine.json("provision --tenant Acme"));
    Fixture { machine, database, owner }
}

impl Fixture {
    fn append(&self, ids: &[&str]) {
        for id in ids {
            let event = submission(self.owner, at("2026-11-22T10:00:00Z"), &[id]);
            self.database.store().append(&[event]).expect("stored");
        }
    }

    fn tail(&self, options: &str) -> RunOutput {
        let output = self.machine.run(&format!("{TAIL} {options}"));
        assert_eq!(output.code, 0, "{}", output.err);
        output
    }
}

fn ids(output: &RunOutput) -> Vec<String> {
    let lines = output.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.map(|event| event["event_id"].as_str().expect("a text").to_owned()).collect()
}

/// The cursor printed at the end.
fn cursor(output: &RunOutput) -> String {
    let line = output.errors().find_map(|line| line.strip_prefix("continue with --after "));
    line.unwrap_or_else(|| panic!("{}", output.err)).to_owned()
}

#[test]
fn tail_goes_on_where_the_run_before_stopped() {
    let fixture = fixture();
    fixture.append(&["a", "b", "c"]);
    let first = fixture.tail("--after oldest --limit 2");
    assert_eq!(ids(&first), ["a", "b"]);
    let second = fixture.tail(&format!("--after {} --no-follow", cursor(&first)));
    assert_eq!(ids(&second), ["c"]);
    fixture.append(&["d"]);
    let third = fixture.tail(&format!("--after {} --no-follow", cursor(&second)));
    assert_eq!(ids(&third), ["d"]);
    let now = fixture.tail("--after now --no-follow");
    assert_eq!(ids(&now), [""; 0]);
    fixture.append(&["e"]);
    assert_eq!(ids(&fixture.tail(&format!("--after {} --no-follow", cursor(&now)))), ["e"]);
}

#[test]
fn tail_lines_are_those_of_an_export() {
    let fixture = fixture();
    fixture.append(&["a"]);
    let export = fixture.machine.run("events export --tenant acme");
    assert_eq!(fixture.tail("--after oldest --no-follow").out, export.out);
}

#[test]
fn tail_follows_until_it_is_interrupted() {
    let machine = TestMachine::default();
    let owner = owner_of(&machine.perform("provision --tenant Acme").unwrap());
    machine.late.set(Some(submission(owner, at("2026-11-22T10:00:00Z"), &["late"])));
    // Stored while the tail waits. It ends after its second look.
    machine.steps_left.set(Some(8));
    let printed = machine.perform(TAIL).unwrap();
    assert_eq!(printed["event_id"], "late");
}

#[test]
fn filter_selects_what_is_written_and_not_the_cursor() {
    let fixture = fixture();
    fixture.append(&["a", "b", "c", "d", "e", "f"]);
    let sql = "UPDATE events SET session_id = 's' WHERE event_id IN ('b', 'd', 'e')";
    fixture.database.execute(sql);
    let first = fixture.tail("--after oldest --session-id s --limit 2 --no-follow");
    assert_eq!(ids(&first), ["b", "d"]);
    let rest = fixture.tail(&format!("--after {} --no-follow", cursor(&first)));
    assert_eq!(ids(&rest), ["e", "f"], "c was passed");
    let none = fixture.tail("--after oldest --no-follow --received-from 2026-11-23");
    assert_eq!(ids(&none), [""; 0]);
}

#[test]
fn terminal_gets_a_line_per_event_within_its_width() {
    let fixture = fixture();
    fixture.append(&["a\u{202e}b"]);
    let mut machine = TestMachine::on(&fixture.database);
    machine.is_terminal = true;
    let output = machine.run(&format!("{TAIL} --after oldest --no-follow"));
    let lines: Vec<&str> = output.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", output.out);
    assert!(lines[0].starts_with("Timestamp") && lines[0].contains("Event name"));
    assert!(lines[1].starts_with("2026-11-22T10:00:00.000000Z  e  "), "{}", lines[1]);
    assert!(lines[1].contains("a\\u202eb") && lines.iter().all(|line| line.len() <= 80));
    let output = machine.run(&format!("{TAIL} --after oldest --no-follow --format ndjson"));
    assert!(output.out.starts_with('{'));
}

#[test]
fn wrong_cursor_is_refused() {
    let fixture = fixture();
    fixture.append(&["a"]);
    let other = fixture.machine.json("provision --tenant Other");
    assert_eq!(other["tenant"]["id"], "2");
    let of_acme = cursor(&fixture.tail("--after oldest --no-follow"));
    for (options, part) in [
        ("--after x".to_owned(), "neither oldest nor now nor a cursor"),
        ("--no-follow".to_owned(), "--no-follow needs --after"),
        ("--limit 0".to_owned(), "is not a whole number from 1"),
        (format!("--after {of_acme} --no-follow"), "--after is a cursor of another workspace"),
    ] {
        let tail = "events tail --tenant other --workspace default";
        let output = fixture.machine.run(&format!("{tail} {options}"));
        assert_eq!(output.code, 64, "{options}: {}", output.err);
        assert!(output.err.contains(part), "{}", output.err);
    }
}

/// A pipe whose reader is gone.
struct BrokenPipe;

impl io::Write for BrokenPipe {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn reader_of_a_tail_may_go() {
    let fixture = fixture();
    fixture.append(&["a"]);
    let mut err = Vec::new();
    let line = format!("{TAIL} --after oldest");
    let arguments = line.split(' ').map(OsString::from).collect();
    let exit =
        fixture.machine.with_machine(|machine| run(arguments, machine, &mut BrokenPipe, &mut err));
    assert_eq!((exit, String::from_utf8(err).unwrap().as_str()), (Exit::Done, ""));
}

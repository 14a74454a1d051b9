//! Counting, listing, exporting and deleting events, and deleting whole tenants.

use std::ffi::OsString;
use std::io;

use mercurio_admin::{Exit, run};
use mercurio_domain::TenantId;
use mercurio_domain::store::{Deletion, Removal};
use mercurio_domain::testing::{FixedClock, at, submission};
use mercurio_domain::text::is_unprintable;
use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::test_machine::{TestMachine, owner_of};

/// A SQLite database with the tenant Acme.
struct Fixture {
    machine: TestMachine,
    database: TestDatabase,
    /// Number of stored events.
    samples: u64,
}

fn fixture() -> Fixture {
    let database = TestDatabase::sqlite();
    let machine = TestMachine::on(&database);
    let printed = machine.json("provision --tenant Acme --samples");
    let samples = printed["samples"]["events"].as_u64().expect("a number");
    Fixture { machine, database, samples }
}

#[test]
fn events_are_counted_and_listed() {
    let Fixture { machine, samples, database: _database } = fixture();
    assert!(samples >= 3);
    let counted = machine.json("events count --tenant acme");
    assert_eq!(counted["events"], json!(samples));
    assert_eq!(counted["workspaces"][0]["events"], json!(samples));
    let listed = machine.json("events list --tenant acme --limit 2");
    assert_eq!(listed["events"].as_array().unwrap().len(), 2);
    let unknown = machine.run("events count --tenant acme --workspace nowhere");
    assert_eq!(unknown.code, 4, "{}", unknown.err);
}

#[test]
fn export_as_ndjson_and_csv_holds_every_event() {
    let Fixture { machine, samples, database: _database } = fixture();
    let ndjson = machine.run("events export --tenant acme");
    let note = format!("mercurio-admin: exported {samples} events\n");
    assert_eq!((ndjson.code, ndjson.err), (0, note));
    let events: Vec<Value> =
        ndjson.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len() as u64, samples);
    let listed = machine.json("events list --tenant acme --limit 2");
    assert_eq!(events[..2], listed["events"].as_array().unwrap()[..]);

    let csv = machine.run("events export --tenant acme --format csv");
    // The crate that quoted the cells reads them back: only their content is compared.
    let mut reader = csv::Reader::from_reader(csv.out.as_bytes());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let members: Vec<String> = events[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(columns, members);
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), events.len());
    for (record, event) in records.iter().zip(&events) {
        for (cell, member) in record.iter().zip(event.as_object().unwrap().values()) {
            match member {
                Value::Null => assert_eq!(cell, ""),
                Value::String(text) => assert_eq!(cell, text),
                other => assert_eq!(&serde_json::from_str::<Value>(cell).unwrap(), other),
            }
        }
    }
    let invalid = machine.run("events export --tenant acme --format xml --from yesterday");
    assert_eq!((invalid.code, invalid.errors().count()), (64, 2), "{}", invalid.err);
}

/// A machine with two events: a formula as an id, and a row of an older release with characters
/// that a terminal would obey.
fn hostile_fixture(is_terminal: bool) -> Fixture {
    let database = TestDatabase::sqlite();
    let machine = TestMachine::on(&database);
    let owner = owner_of(&machine.json("provision --tenant Acme"));
    let received_at = at("2026-11-22T10:00:00Z");
    let stored = database.store().append(&[submission(owner, received_at, &["=1+1", "old"])]);
    stored.expect("stored");
    database.execute(
        // CSI, an override of direction, and a line break between two tokens of a payload.
        "UPDATE events SET user_id = char(155) || '2J' || char(8238) || 'x',
             properties = '{\"a\":' || char(10) || '\"' || char(157) || '0;t\"}' WHERE event_id = 'old'",
    );
    Fixture { machine: TestMachine { is_terminal, ..machine }, database, samples: 2 }
}

#[track_caller]
fn check_is_harmless(output: &str) {
    let found = output.chars().find(|found| is_unprintable(*found) && !"\r\n".contains(*found));
    assert_eq!(found, None, "{output:?}");
}

#[test]
fn stored_text_never_controls_a_terminal() {
    let Fixture { machine, database: _database, .. } = hostile_fixture(true);
    for line in [
        "events list --tenant acme",
        "events list --tenant acme --output json",
        "events export --tenant acme",
        "events export --tenant acme --format csv",
    ] {
        let output = machine.run(line);
        assert_eq!(output.code, 0, "{}", output.err);
        assert!(output.out.contains("\\u009b2J\\u202ex"), "{line}: {}", output.out);
        check_is_harmless(&output.out);
    }
    let unknown = machine.run_args(&["key", "revoke", "\u{9b}2J\u{202e}x"]);
    assert_eq!(unknown.code, 4);
    check_is_harmless(&unknown.err);
}

#[test]
fn escaped_json_is_lossless_and_one_event_a_line() {
    let Fixture { machine, database: _database, .. } = hostile_fixture(false);
    let listed = machine.json("events list --tenant acme");
    let user = |event: &Value| event["user_id"].as_str().unwrap().to_owned();
    let export = machine.run("events export --tenant acme");
    check_is_harmless(&export.out);
    let events: Vec<Value> =
        export.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events, *listed["events"].as_array().unwrap());
    let old = events.iter().find(|event| event["event_id"] == "old").unwrap();
    assert_eq!(user(old), "\u{9b}2J\u{202e}x");
    assert_eq!(old["properties"], json!({"a": "\u{9d}0;t"}));
}

#[test]
fn csv_formulas_become_text_unless_raw() {
    let Fixture { machine, database: _database, .. } = hostile_fixture(false);
    for (options, id) in [("", "'=1+1"), ("--raw", "=1+1")] {
        let csv = machine.run(&format!("events export --tenant acme --format csv {options}"));
        let mut reader = csv::Reader::from_reader(csv.out.as_bytes());
        let records: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert!(records.iter().any(|record| &record[0] == id), "{records:?}");
        // A file keeps every character.
        assert!(records.iter().any(|record| &record[7] == "\u{9b}2J\u{202e}x"), "{records:?}");
    }
    assert_eq!(machine.run("events export --tenant acme --raw").code, 64, "NDJSON has no formulas");
}

/// Accepts some bytes, and then fails.
struct FailingOutput {
    bytes_left: usize,
    error: io::ErrorKind,
}

impl io::Write for FailingOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes_left == 0 {
            return Err(self.error.into());
        }
        let taken = bytes.len().min(self.bytes_left);
        self.bytes_left -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn reader_of_an_export_may_stop_but_a_disk_may_not_fill() {
    let Fixture { machine, database: _database, .. } = fixture();
    for (error, expected, lines) in
        [(io::ErrorKind::BrokenPipe, Exit::Done, 0), (io::ErrorKind::StorageFull, Exit::Failed, 1)]
    {
        let mut err = Vec::new();
        let arguments = ["events", "export", "--tenant", "acme"].map(OsString::from).into();
        // The export is longer, so the output fails within it.
        let mut out = FailingOutput { bytes_left: 100, error };
        let exit = machine.with_machine(|machine| run(arguments, machine, &mut out, &mut err));
        assert_eq!(exit, expected);
        let err = String::from_utf8(err).unwrap();
        assert_eq!(err.lines().count(), lines, "{err}");
        assert!(lines == 0 || err.contains("the export stopped after"), "{err}");
    }
}

#[test]
fn erasure_of_a_person_needs_a_confirmation() {
    let Fixture { mut machine, samples, database: _database } = fixture();
    let listed = machine.json("events list --tenant acme --limit 1000");
    let events = listed["events"].as_array().unwrap();
    let user = events.iter().find_map(|event| event["user_id"].as_str()).unwrap();
    // Only some of the samples have a user: the visitor signs up later.
    let of_user = events.iter().filter(|event| event["user_id"] == user).count() as u64;
    let erase = format!("events erase --tenant acme --user-id {user}");
    let refused = machine.run(&erase);
    assert_eq!(refused.code, 64, "no terminal");
    assert!(refused.err.contains("give --yes"), "{}", refused.err);
    machine.answer = Some("no\n");
    let declined = machine.run(&erase);
    assert_eq!((declined.code, &*declined.out), (1, ""), "{}", declined.err);
    assert_eq!(machine.json("events count --tenant acme")["events"], json!(samples));
    machine.answer = Some("Yes\n");
    let receipt = machine.json(&erase);
    assert_eq!(receipt["removed"]["events"], json!(of_user));
    assert_eq!(receipt["erased_by"], "user_id");
    // The receipt may be kept; the id of the erased person may not.
    assert!(!receipt.to_string().contains(user), "{receipt}");
    assert_eq!(machine.json("events count --tenant acme")["events"], json!(samples - of_user));
    let again = machine.json(&format!("{erase} --yes"));
    assert_eq!(again["removed"]["events"], 0);
}

#[test]
fn erasure_needs_exactly_one_person() {
    let Fixture { machine, database: _database, .. } = fixture();
    for line in
        ["events erase --tenant acme", "events erase --tenant acme --user-id u --anonymous-id a"]
    {
        assert_eq!(machine.run(line).code, 64, "{line}");
    }
}

#[test]
fn deleted_tenant_leaves_nothing_and_frees_its_name() {
    let Fixture { mut machine, database, samples } = fixture();
    machine.json("provision --tenant Other --samples");
    // Close to the tenant's name, but not equal.
    machine.answer = Some("Acne\n");
    assert_eq!(machine.run("tenant delete acme").code, 1);
    // Case is ignored in the answer too.
    machine.answer = Some("acme\n");
    // An earlier run stopped after its first step. The receipt includes the events it removed.
    let shown = machine.json("tenant show acme");
    let tenant_id: TenantId = shown["id"].as_str().unwrap().parse().unwrap();
    let began_at = at("2026-11-22T09:00:00Z");
    let store = database.store();
    let deletion = Deletion::Tenant(tenant_id);
    store.begin_deletion(deletion, began_at).unwrap();
    let first = store.remove_events(&Removal::All(deletion), began_at, None).unwrap();
    assert!(first.events > 0);
    assert_eq!(machine.json("tenant show acme")["status"], "deleting");
    let deleted = machine.run("tenant delete acme");
    let receipt = deleted.json();
    let removed = json!({"events": samples, "event_keys": samples, "rejections": 0, "workspaces": 1, "api_keys": 1});
    assert_eq!(receipt["removed"], removed);
    // From the first run, an hour before the clock of this one.
    assert_eq!(receipt["deleted_at"], "2026-11-22T09:00:00.000000Z");
    assert!(deleted.err.contains("began in an earlier run"), "{}", deleted.err);
    // Deleted, so there is no such tenant any more.
    assert_eq!(machine.run("tenant delete acme --yes").code, 4);
    machine.json("provision --tenant ACME");
    assert_eq!(machine.json("events count --tenant other")["events"], json!(samples));
    assert_eq!(machine.json("events count --tenant acme")["events"], 0);
}

#[test]
fn purge_deletes_old_events_of_one_tenant_or_all() {
    let Fixture { mut machine, samples, database: _database } = fixture();
    machine.json("provision --tenant Other --samples");
    // 71 days after the samples: older than 60 days, younger than 90.
    machine.clock = FixedClock::at("2027-02-01T12:00:00Z");
    machine.json("events purge --older-than 90d --yes");
    let kept = machine.json("events count --tenant acme");
    assert_eq!(kept["events"], json!(samples), "the events are younger");
    assert_eq!(machine.run("events purge --older-than 30d").code, 64, "no terminal, no --yes");
    let purged = machine.json("events purge --tenant acme --older-than 60d --yes");
    // Keys go 30 days after their events: the samples are only 11 days past the boundary.
    assert_eq!(purged["removed"], json!({"events": samples, "event_keys": 0}));
    assert_eq!(machine.json("events count --tenant other")["events"], json!(samples));
    let purged = machine.json("events purge --older-than 1d --yes");
    assert_eq!(purged["received_before"], "2027-01-31T00:00:00.000000Z");
    assert_eq!(purged["removed"], json!({"events": samples, "event_keys": 2 * samples}));
    for line in ["events purge", "events purge --older-than old"] {
        let invalid = machine.run(line);
        assert_eq!((invalid.code, invalid.errors().count()), (64, 1), "{}", invalid.err);
    }
}

#[test]
fn interrupted_deletion_is_finished_by_the_same_command() {
    const DELETE: &str = "tenant delete acme --yes";
    // The store in memory removes two events per step.
    // Before and between the steps of the first pass, and in the wait after it.
    for steps in 0..5 {
        let machine = TestMachine::default();
        let created = machine.perform("provision --tenant Acme --samples").unwrap();
        let samples = created["samples"]["events"].as_u64().unwrap();
        machine.steps_left.set(Some(steps));
        let error = machine.perform(DELETE).unwrap_err();
        assert_eq!((error.exit(), error.exit().code()), (Exit::Incomplete, 2), "{steps}: {error}");
        let left = u64::try_from(machine.store.event_count()).unwrap();
        let removed = format!("stopped after removing {} events", samples - left);
        assert!(error.to_string().starts_with(&removed), "{steps}: {error} {left}");
        let shown = machine.perform("tenant show acme").unwrap();
        assert_eq!(shown["status"], "deleting");
        machine.steps_left.set(None);
        let receipt = machine.perform(DELETE).unwrap();
        assert_eq!(receipt["removed"]["events"], json!(samples), "of both runs");
        assert_eq!(machine.store.event_count(), 0);
    }
}

#[test]
fn deletion_that_loses_the_database_is_finished_later() {
    const DELETE: &str = "tenant delete acme --yes";
    // Behind the mark, between the steps, in the wait, and in the pass after it.
    for steps in [0, 1, 50, 102] {
        let machine = TestMachine::default();
        let created = machine.perform("provision --tenant Acme --samples").unwrap();
        machine.steps_to_outage.set(Some(steps));
        let error = machine.perform(DELETE).unwrap_err();
        assert_eq!(error.exit(), Exit::Incomplete, "{steps}: {error}");
        machine.steps_to_outage.set(None);
        machine.store.set_unavailable(false);
        let samples = created["samples"]["events"].as_u64().unwrap();
        let left = u64::try_from(machine.store.event_count()).unwrap();
        let removed = format!("stopped after removing {} events", samples - left);
        assert!(error.to_string().starts_with(&removed), "{steps}: {error} {left}");
        let receipt = machine.perform(DELETE).unwrap();
        assert_eq!(receipt["removed"]["events"], json!(samples), "of both runs");
    }
}

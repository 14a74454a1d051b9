//! Importing exports: between databases, twice, cut off, broken and foreign.

use std::path::{Path, PathBuf};

use mercurio_admin::Exit;
use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Origin, Reception};
use mercurio_domain::payload::RawJson;
use mercurio_domain::store::{EventQuery, EventWriter, Store, Submission};
use mercurio_domain::testing::at;
use mercurio_domain::{EventId, Owner, Timestamp};
use mercurio_storage::testing::TestDatabase;
use serde_json::json;

use crate::test_machine::{TestMachine, owner_of};

const IMPORT: &str = "events import --tenant acme --workspace default";

/// An event with texts to escape, the time of another clock, and a payload with line breaks.
fn event(id: &str, received_at: Timestamp) -> EnrichedEvent {
    let raw = |text: &'static str| Some(RawJson::parse(text).expect("JSON"));
    let draft = EventDraft {
        event_id: Some(id.into()),
        event_name: Some("Größe \"L\"\\".into()),
        timestamp: Some("2026-11-20T08:00:00.000001Z".into()),
        user_id: Some("u\"1".into()),
        schema_version: Some("2.0.0-rc.1".into()),
        properties: raw("{ \"n\":1.50,\r\n\t\"u\":\"\u{9b}\u{202e}\\u00e9\" }"),
        context: raw(r#"{"a":[],"b":12345678901234567890123}"#),
        ..EventDraft::default()
    };
    let sent_at = received_at.checked_add_micros(3_600_000_000);
    let origin = Origin { sent_at, ..Origin::from("") };
    let mut errors = Vec::new();
    let valid =
        draft.check(origin, &Reception::at(received_at), || EventId::lookup(""), &mut errors);
    let valid = valid.unwrap_or_else(|| panic!("{errors:?}"));
    let client_ip = Some("2001:db8::".to_owned());
    let enrichment = Enrichment { client_ip, ..Enrichment::default() };
    EnrichedEvent::new(valid, EnrichmentJson::of(&enrichment))
}

/// Days of receipt, on both sides of a midnight.
fn received() -> [Timestamp; 3] {
    ["2026-11-20T23:59:59.999999Z", "2026-11-21T00:00:00Z", "2026-11-22T09:00:00Z"].map(at)
}

fn submissions(owner: Owner) -> Vec<Submission> {
    let mut submissions = Vec::new();
    for (number, received_at) in received().into_iter().enumerate() {
        let ids = [format!("{number}-a"), format!("{number}-é/ \u{202e}")];
        let events = ids.iter().map(|id| event(id, received_at)).collect();
        submissions.push(Submission { owner, received_at, events });
    }
    submissions
}

/// A database whose tenant Acme has the same ids as in every other.
struct Fixture {
    machine: TestMachine,
    database: TestDatabase,
    owner: Owner,
}

fn fixture(database: TestDatabase) -> Fixture {
    let machine = TestMachine::on(&database);
    let owner = owner_of(&machine.json("provision --tenant Acme"));
    Fixture { machine, database, owner }
}

fn export(machine: &TestMachine) -> String {
    let output = machine.run("events export --tenant acme --workspace default");
    assert_eq!(output.code, 0, "{}", output.err);
    output.out
}

/// The six lines of an export.
fn exported() -> String {
    let Fixture { machine, database, owner } = fixture(TestDatabase::sqlite());
    database.store().append(&submissions(owner)).expect("stored");
    export(&machine)
}

fn import(
    mut machine: TestMachine,
    input: &[u8],
    options: &str,
) -> (TestMachine, crate::test_machine::RunOutput) {
    machine.input = input.to_vec();
    let output = machine.run(&format!("{IMPORT} {options}"));
    (machine, output)
}

#[test]
fn export_is_the_same_after_a_move_to_postgres_and_back() {
    let original = exported();
    assert_eq!(original.lines().count(), 6);
    let mut current = original.clone();
    let databases = [TestDatabase::postgres(), TestDatabase::sqlite(), TestDatabase::postgres()];
    for database in databases {
        let Fixture { machine, database: _database, .. } = fixture(database);
        let (machine, output) = import(machine, current.as_bytes(), "");
        let result = output.json();
        let tally = ["read", "imported", "duplicates", "rejected"].map(|name| &result[name]);
        assert_eq!(tally, [6, 6, 0, 0]);
        current = export(&machine);
        assert_eq!(current, original);
        // Again: safe to repeat.
        let (machine, output) = import(machine, current.as_bytes(), "-");
        assert_eq!(
            (&output.json()["imported"], &output.json()["duplicates"]),
            (&json!(0), &json!(6))
        );
        let counted = machine.json("events count --tenant acme");
        assert_eq!(counted["events"], 6);
    }
}

#[test]
fn counts_and_usage_have_the_month_of_receipt() {
    let Fixture { machine, database, owner } = fixture(TestDatabase::sqlite());
    let old = exported().replace("2026-11-20T23:59", "2026-09-20T23:59");
    let (machine, output) = import(machine, old.as_bytes(), "");
    assert_eq!(output.json()["imported"], 6);
    assert_eq!(machine.json("tenant show acme")["usage"], json!({"month": "2026-11", "events": 4}));
    let store = database.store();
    let month = |text| mercurio_domain::limits::Month::of(at(text));
    let usage = store.usage(&[owner.tenant_id], month("2026-09-01T00:00:00Z"));
    assert_eq!(usage.unwrap(), [2]);
}

#[test]
fn broken_line_is_reported_and_the_others_are_imported() {
    let lines = exported();
    let lines: Vec<&str> = lines.lines().collect();
    let secret = lines[1].replace("Größe", &"secret".repeat(20));
    let input = [
        b"\xef\xbb\xbf".as_slice(),
        lines[0].as_bytes(),
        b"\r\n\r\n",
        secret.as_bytes(),
        b"\n\xffsecret\n{\"secret\":\n",
        lines[2].as_bytes(),
        b"\n",
        // Cut off.
        &lines[3].as_bytes()[..200],
    ];
    let input = input.concat();
    let Fixture { machine, database: _database, .. } = fixture(TestDatabase::sqlite());
    let (machine, output) = import(machine, &input, "");
    assert_eq!(output.code, 1, "{}", output.err);
    let notices = machine.notices.take();
    let expected = [
        "line 3 is rejected: event_name: too_long",
        "line 4 is rejected: it is not UTF-8",
        "line 5 is rejected: it ends in the middle: the input was cut off",
        "line 7 is rejected: it ends in the middle: the input was cut off",
    ];
    assert_eq!(notices, expected);
    assert_eq!(output.err, "mercurio-admin: 4 lines were rejected\n");
    let result: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    let tally = ["read", "imported", "duplicates", "rejected"].map(|name| &result[name]);
    assert_eq!(tally, [6, 2, 0, 4]);
    // The whole export fills the gaps.
    let (machine, output) = import(machine, lines.join("\n").as_bytes(), "");
    assert_eq!((&output.json()["imported"], &output.json()["duplicates"]), (&json!(4), &json!(2)));
    assert_eq!(export(&machine).lines().collect::<Vec<_>>(), lines);
}

#[test]
fn import_stops_on_an_error_if_told_to() {
    let lines = exported();
    let lines: Vec<&str> = lines.lines().collect();
    let input = format!("{}\n{{}}\n{}\n", lines[0], lines[1]);
    let Fixture { machine, database: _database, .. } = fixture(TestDatabase::sqlite());
    let (machine, output) = import(machine, input.as_bytes(), "--stop-on-error");
    assert_eq!(output.code, 1);
    assert!(output.err.contains("1 line was rejected: the import stopped there"), "{}", output.err);
    assert!(machine.notices.borrow()[0].starts_with("line 2 is rejected: "));
    assert_eq!(machine.json("events count --tenant acme")["events"], 1, "the line before it");
}

#[test]
fn dry_run_checks_the_lines_and_stores_nothing() {
    let Fixture { machine, database: _database, .. } = fixture(TestDatabase::sqlite());
    let (machine, output) = import(machine, exported().as_bytes(), "--dry-run");
    let result = output.json();
    assert_eq!((&result["read"], &result["imported"]), (&json!(6), &json!(0)));
    assert!(output.err.contains("dry run: nothing was changed"), "{}", output.err);
    let (machine, output) = import(machine, b"{}", "--dry-run");
    assert_eq!(output.code, 1);
    assert_eq!(machine.json("events count --tenant acme")["events"], 0);
    let entries = machine.json("audit list");
    assert!(!entries.to_string().contains("events import"), "{entries}");
}

#[test]
fn events_of_another_workspace_need_remap() {
    let lines = exported();
    let Fixture { machine, database: _database, .. } = fixture(TestDatabase::sqlite());
    machine.json("provision --tenant Other");
    let other = "events import --tenant other --workspace default";
    let mut machine = TestMachine { input: lines.clone().into_bytes(), ..machine };
    let refused = machine.run(other);
    assert_eq!((refused.code, &*refused.out), (1, ""));
    let expected = "line 1 is of the tenant id:1 and its workspace 1, not of the one named: nothing was imported.";
    assert!(refused.err.contains(expected) && refused.err.contains("--remap"), "{}", refused.err);
    assert_eq!(machine.json("events count --tenant other")["events"], 0);
    assert_eq!(machine.json(&format!("{other} --remap"))["imported"], 6);
    // Lines of a second workspace are an accident.
    let mixed = lines.replacen("\"workspace_id\":\"1\"", "\"workspace_id\":\"9\"", 3);
    machine.input = mixed.into_bytes();
    let output = machine.run(&format!("{IMPORT} --remap"));
    assert_eq!(output.code, 1);
    let result: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!((&result["imported"], &result["rejected"]), (&json!(3), &json!(3)));
    assert!(machine.notices.borrow()[0].contains("line 4 is rejected: it is of the tenant id:1"));
}

#[test]
fn input_that_is_no_export_is_refused_with_advice() {
    let Fixture { machine, database: _database, .. } = fixture(TestDatabase::sqlite());
    let mut machine = machine;
    for (input, code, part) in [
        (&b""[..], 0, "the input has no events"),
        (b"\n\r\n", 0, "the input has no events"),
        (b"\x1f\x8b\x08\x00\n\x00", 1, "gzip -dc"),
        (b"\xff\xfe{\x00}\x00", 1, "UTF-16"),
        (b"event_id,type\na,track\n", 1, "--format ndjson"),
        (b"[]", 1, "1 line was rejected"),
    ] {
        let (after, output) = import(machine, input, "");
        machine = after;
        assert_eq!(output.code, code, "{}", output.err);
        assert!(output.err.contains(part), "{}", output.err);
    }
    let missing = machine.run(&format!("{IMPORT} /nowhere/events.ndjson"));
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("cannot read /nowhere/events.ndjson"), "{}", missing.err);
}

#[test]
fn many_rejected_lines_are_counted() {
    let Fixture { machine, database: _database, .. } = fixture(TestDatabase::sqlite());
    let (machine, output) = import(machine, &b"{}\n".repeat(500), "");
    assert_eq!(output.code, 1);
    assert!(output.err.contains("500 lines were rejected"), "{}", output.err);
    let notices = machine.notices.borrow();
    assert_eq!(notices.len(), 101);
    assert_eq!(notices[100], "further rejected lines are only counted");
}

#[test]
fn events_due_for_removal_are_announced() {
    let Fixture { machine, database: _database, .. } = fixture(TestDatabase::sqlite());
    machine.json("tenant limits acme --set retention_days=1");
    // The clock is at 22 November: two events are of the 20th.
    let (_, output) = import(machine, exported().as_bytes(), "");
    assert_eq!(output.code, 0);
    let expected = "2 events were received before 2026-11-21T00:00:00.000000Z: the retention removes them soon";
    assert!(output.err.contains(expected), "{}", output.err);
}

/// A file with two groups of events and a part of one, for a tenant of the store in memory.
fn large_export(machine: &TestMachine, folder: &Path) -> PathBuf {
    let owner = owner_of(&machine.perform("provision --tenant Acme").expect("success"));
    let source = mercurio_domain::testing::MemoryStore::default();
    let ids: Vec<String> = (0..2_500).map(|number| format!("e{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let received_at = at("2026-11-22T09:00:00Z");
    let events = mercurio_domain::testing::submission(owner, received_at, &ids);
    source.append(&[events]).expect("stored");
    let mut query = EventQuery { limit: 1000, ..EventQuery::default() };
    let mut text = String::new();
    loop {
        let page = source.events(owner, &query).expect("a page");
        for event in &page.events {
            text.push_str(&serde_json::to_string(event).expect("JSON"));
            text.push('\n');
        }
        query.after = page.next;
        if page.next.is_none() {
            break;
        }
    }
    let path = folder.join("export.ndjson");
    std::fs::write(&path, text).expect("written");
    path
}

#[test]
fn interrupted_import_is_continued_by_the_same_command() {
    let folder = tempfile::tempdir().unwrap();
    // Within each group, and at their borders.
    for steps in [0, 1, 999, 1000, 1001, 2400, 2499] {
        let machine = TestMachine::default();
        let path = large_export(&machine, folder.path());
        let import = format!("{IMPORT} {}", path.display());
        machine.steps_left.set(Some(steps));
        let error = machine.perform(&import).unwrap_err();
        assert_eq!(error.exit(), Exit::Incomplete, "{steps}: {error}");
        let stored = machine.store.event_count();
        assert_eq!(stored, steps as usize, "what was read is stored");
        assert!(error.to_string().starts_with(&format!("stopped after importing {stored} events")));
        machine.steps_left.set(None);
        let result = machine.perform(&import).unwrap();
        assert_eq!(result["imported"], json!(2_500 - stored));
        assert_eq!(machine.store.event_count(), 2_500);
    }
}

#[test]
fn import_that_loses_the_database_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    for (steps, exit) in [(10, Exit::Unavailable), (1500, Exit::Incomplete)] {
        let machine = TestMachine::default();
        let path = large_export(&machine, folder.path());
        let import = format!("{IMPORT} {}", path.display());
        machine.steps_to_outage.set(Some(steps));
        let error = machine.perform(&import).unwrap_err();
        assert_eq!(error.exit(), exit, "{error}");
        machine.steps_to_outage.set(None);
        machine.store.set_unavailable(false);
        let stored = machine.store.event_count();
        assert_eq!(machine.perform(&import).unwrap()["duplicates"], json!(stored));
        assert_eq!(machine.store.event_count(), 2_500);
    }
}

#[test]
fn import_has_entries_in_the_audit_log() {
    let Fixture { machine, database: _database, .. } = fixture(TestDatabase::sqlite());
    let (machine, _) = import(machine, exported().as_bytes(), "");
    let log = machine.json("audit list")["audit_log"].as_array().unwrap().clone();
    let done = "import stored 6 events; 0 were duplicates and 0 lines rejected";
    for (entry, expected) in log.iter().zip([
        ["events import", "done", done],
        ["events import", "started", "import of exported events"],
    ]) {
        assert_eq!(["command", "outcome", "detail"].map(|name| &entry[name]), expected);
    }
    assert_eq!((&log[0]["tenant_id"], &log[0]["workspace_id"]), (&json!("1"), &json!("1")));
}

#[test]
fn workspace_being_deleted_gets_no_events() {
    let machine = TestMachine::default();
    machine.perform("provision --tenant Acme --samples").unwrap();
    machine.steps_left.set(Some(0));
    machine.perform("workspace delete Default --tenant Acme --yes").unwrap_err();
    machine.steps_left.set(None);
    let error = machine.perform(IMPORT).unwrap_err();
    assert!(error.to_string().contains("is being deleted"), "{error}");
}

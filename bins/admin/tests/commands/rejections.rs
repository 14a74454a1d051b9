//! Listing, exporting and purging rejected events, and receipts that count them.

use mercurio_domain::store::{
    RejectedEvent, RejectionBatch, RejectionCount, RejectionGroup, RejectionKind,
};
use mercurio_domain::testing::{at, rejection};
use mercurio_domain::text::is_unprintable;
use mercurio_domain::verdict::FieldErrorCode;
use mercurio_domain::{Owner, Timestamp};
use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::test_machine::{TestMachine, owner_of};

/// A database with rejections of two workspaces, and the machine on it at 10 o'clock on
/// 22 November.
struct Fixture {
    machine: TestMachine,
    database: TestDatabase,
}

fn fixture(database: TestDatabase) -> Fixture {
    let machine = TestMachine::on(&database);
    let owner = owner_of(&machine.json("provision --tenant Acme"));
    let other = machine.json("workspace create Other --tenant Acme");
    let workspace_id = other["id"].as_str().expect("a text").parse().expect("a number");
    let other = Owner { workspace_id, ..owner };
    let hostile = RejectedEvent {
        event_name: Some("\u{9b}2J\u{202e}x\n".to_owned()),
        event: "{\"a\":\"\u{9b}2J\u{202e}\"}".to_owned(),
        user_agent: Some("\u{1b}]0;t\u{7}".to_owned()),
        ..event(other, "2026-11-22T08:00:00Z", FieldErrorCode::TooLong)
    };
    let batch = RejectionBatch {
        events: vec![
            event(owner, "2026-11-20T08:00:00Z", FieldErrorCode::Required),
            event(owner, "2026-11-22T07:00:00Z", FieldErrorCode::WrongType),
            hostile,
        ],
        counts: vec![(
            group(owner, at("2026-11-20T08:00:00Z")),
            RejectionCount { rejected: 5, example: None },
        )],
    };
    database.store().record_rejections(&batch).expect("stored");
    Fixture { machine, database }
}

fn event(owner: Owner, received_at: &str, code: FieldErrorCode) -> RejectedEvent {
    RejectedEvent {
        request_id: code.to_string(),
        ..rejection(owner, at(received_at), &[code, FieldErrorCode::UnknownField])
    }
}

fn group(owner: Owner, hour: Timestamp) -> RejectionGroup {
    RejectionGroup {
        owner,
        hour,
        kind: RejectionKind::Event,
        code: String::new(),
        pointer: String::new(),
        event_name: "e".to_owned(),
    }
}

fn both() -> [Fixture; 2] {
    [TestDatabase::sqlite(), TestDatabase::postgres()].map(fixture)
}

fn count(machine: &TestMachine) -> usize {
    let listed = machine.json("rejections list --tenant acme");
    listed["rejections"].as_array().expect("a list").len()
}

fn request_ids(rejections: &[Value]) -> Vec<&str> {
    rejections.iter().map(|event| event["request_id"].as_str().expect("a text")).collect()
}

#[test]
fn rejections_are_listed_by_every_filter_newest_first() {
    for Fixture { machine, database: _database } in both() {
        for (options, expected) in [
            ("", &["too_long", "wrong_type", "required"][..]),
            ("--limit 2", &["too_long", "wrong_type"]),
            ("--workspace other", &["too_long"]),
            ("--code required", &["required"]),
            ("--code unknown_field --event-name e", &["wrong_type", "required"]),
            ("--from 1d --to 3h", &["wrong_type"]),
            ("--to 2026-11-21", &["required"]),
            ("--code blank", &[]),
        ] {
            let listed = machine.json(&format!("rejections list --tenant acme {options}"));
            let listed = listed["rejections"].as_array().unwrap();
            assert_eq!(request_ids(listed), expected, "{options}");
            assert!(listed.iter().all(|event| event.get("event").is_none()), "{options}");
        }
        let full = machine.json("rejections list --tenant acme --code required --full");
        let shown = &full["rejections"][0];
        assert_eq!(shown["codes"], json!(["required", "unknown_field"]));
        assert_eq!(shown["errors"][1]["pointer"], "/properties");
        assert!(shown["event"].as_str().unwrap().contains("\"user_id\":\"u\""), "{shown}");
        for (line, part) in [
            ("list --tenant acme --code requird", "did you mean required?"),
            ("list --tenant acme --from 1d --to 2d", "is not before --to"),
            ("export --tenant acme --limit 5", "--limit"),
            ("purge --before yesterday", "--before: \"yesterday\" is not a time"),
            ("purge --workspace other --before 1d", "--workspace needs --tenant"),
        ] {
            let refused = machine.run(&format!("rejections {line}"));
            assert_eq!(refused.code, 64, "{line}");
            assert!(refused.err.contains(part), "{line}: {}", refused.err);
        }
        assert_eq!(machine.run("rejections list --tenant nobody").code, 4);
    }
}

#[test]
fn hostile_text_is_escaped_in_every_output() {
    let Fixture { mut machine, database: _database } = fixture(TestDatabase::sqlite());
    for is_terminal in [false, true] {
        machine.is_terminal = is_terminal;
        for line in [
            "list --tenant acme --full --output table --wide",
            "list --tenant acme --full --output json",
            "list --tenant acme --full --output yaml",
            "export --tenant acme",
        ] {
            let output = machine.run(&format!("rejections {line}"));
            assert_eq!(output.code, 0, "{line}: {}", output.err);
            let found = output.out.chars().find(|found| is_unprintable(*found) && *found != '\n');
            assert_eq!(found, None, "{line}: {:?}", output.out);
            assert!(output.out.contains("2J"), "{line}: {}", output.out);
        }
    }
}

#[test]
fn export_has_every_rejection_with_its_event() {
    for Fixture { machine, database: _database } in both() {
        let exported = machine.run("rejections export --tenant acme");
        assert_eq!((exported.code, &*exported.err), (0, "mercurio-admin: exported 3 rejections\n"));
        let lines: Vec<Value> =
            exported.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        // One workspace after the other.
        assert_eq!(request_ids(&lines), ["wrong_type", "required", "too_long"]);
        assert_eq!(lines[2]["event"], "{\"a\":\"\u{9b}2J\u{202e}\"}");
    }
}

#[test]
fn purge_asks_and_removes_what_is_older() {
    for Fixture { mut machine, database: _database } in both() {
        let dry = machine.json("rejections purge --before 1d --dry-run");
        assert_eq!(dry["would_remove"], json!({"rejections": 1}));
        assert_eq!(machine.run("rejections purge --before 1d").code, 64, "no terminal");
        machine.answer = Some("no\n");
        assert_eq!(machine.run("rejections purge --tenant acme --before 1h").code, 1);
        let question = machine.questions.borrow().last().unwrap().clone();
        let expected = "This permanently deletes 3 rejections of the tenant \"Acme\" received \
                        before 2026-11-22T09:00:00.123456Z, and their counts.";
        assert!(question.starts_with(expected), "{question}");
        assert_eq!(count(&machine), 3);
        machine.answer = Some("yes\n");
        let purged = machine.json("rejections purge --before 1d");
        assert_eq!(purged["removed"], json!({"rejections": 1, "rejection_counts": 1}));
        assert_eq!(count(&machine), 2);
        let purged = machine.json("rejections purge --tenant acme --workspace other --before 0s");
        assert_eq!(purged["removed"], json!({"rejections": 1, "rejection_counts": 0}));
        assert_eq!(count(&machine), 1);
        let log = machine.json("audit list --limit 2");
        let details: Vec<_> =
            log["audit_log"].as_array().unwrap().iter().map(|entry| &entry["detail"]).collect();
        assert_eq!(details[0], "purge removed 1 rejections and 0 counts");
        assert!(details[1].as_str().unwrap().contains("of the workspace \"Other\""), "{log}");
    }
}

#[test]
fn receipts_of_erasures_and_deletions_count_rejections() {
    for Fixture { machine, database: _database } in both() {
        let dry = machine.json("events erase --tenant acme --user-id u --dry-run");
        assert_eq!(dry["would_remove"], json!({"events": 0, "rejections": 3}));
        let dry = machine.json("workspace delete other --tenant acme --dry-run");
        assert_eq!(dry["would_remove"]["rejections"], 1);
        let deleted = machine.json("workspace delete other --tenant acme --yes");
        assert_eq!(deleted["removed"]["rejections"], 1);
        let erased = machine.json("events erase --tenant acme --user-id u --yes");
        assert_eq!(erased["removed"], json!({"events": 0, "rejections": 2}));
        let deleted = machine.json("tenant delete acme --yes");
        assert_eq!(deleted["removed"]["rejections"], 0);
    }
}

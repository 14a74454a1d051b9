//! `audit list`, and the entries of all commands that change something.

use mercurio_domain::testing::FixedClock;
use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::test_machine::TestMachine;

/// Command, outcome and detail of all entries, oldest first.
fn entries(machine: &TestMachine) -> Vec<[String; 3]> {
    let listed = machine.json("audit list --limit 1000");
    let mut entries = Vec::new();
    for entry in listed["audit_log"].as_array().expect("entries").iter().rev() {
        assert_eq!(entry["actor"], "alice@db1");
        entries.push(["command", "outcome", "detail"].map(|member| {
            let text = entry[member].as_str().expect("a text");
            text.to_owned()
        }));
    }
    entries
}

#[test]
fn every_command_that_changes_something_is_recorded() {
    let database = TestDatabase::empty_sqlite();
    let mut machine = TestMachine::on(&database);
    machine.json("migrate");
    let printed = machine.json("provision --tenant Acme --samples");
    let id = printed["api_key"]["id"].as_str().unwrap();
    assert_eq!(machine.run("tenant create acme").code, 3);
    machine.json("tenant suspend acme");
    machine.json("tenant limits acme --set max_batch_events=5");
    machine.json("workspace create Staging --tenant acme");
    machine.json("workspace rename Staging Test --tenant acme");
    machine.json("workspace delete test --tenant acme --yes");
    machine.json("tenant rename acme Other");
    machine.json("tenant rename Other Acme");
    let rotated = machine.json(&format!("key rotate {id}"));
    machine.json(&format!("key revoke {id} --yes"));
    machine.json("key create Site --tenant acme --origins https://a.example,https://b.example");
    assert_eq!(machine.run("key revoke nobody").code, 4);
    machine.json("events erase --tenant acme --user-id 4711 --yes");
    machine.clock = FixedClock::at("2027-02-01T12:00:00Z");
    machine.json("events purge --older-than 60d --yes");
    machine.json("tenant delete acme --yes");
    // These change nothing.
    for line in [
        "tenant list",
        "tenant limits id:1",
        "key list",
        "key show k3v9",
        "events get e1 --tenant id:1",
        "events erase --tenant id:1 --user-id u --dry-run",
        "events purge --older-than 1d --dry-run",
        "tenant delete nobody --dry-run",
        "workspace delete nothing --tenant id:1 --dry-run --yes",
    ] {
        machine.run(line);
    }
    assert_eq!(machine.run("tenant delete nobody").code, 4);
    assert_eq!(machine.run("tenant create").code, 64);

    let entries = entries(&machine);
    let expected = [
        ["migrate up", "done", "migration 2026-11-28-000000_initial applied"],
        ["migrate up", "done", "migration 2026-11-28-000001_key_origins applied"],
        ["migrate up", "done", "migration 2026-11-29-000000_feed applied"],
        ["migrate up", "done", "migration 2026-11-29-000001_rejections applied"],
        ["provision", "done", "tenant \"Acme\" with workspace \"Default\", 3 samples and key"],
        ["tenant create", "failed", "the tenant \"acme\" exists already"],
        ["tenant suspend", "done", "tenant \"Acme\" is suspended"],
        ["tenant limits", "done", "max_batch_events=5"],
        ["workspace create", "done", "workspace \"Staging\" created"],
        ["workspace rename", "done", "workspace \"Staging\" renamed to \"Test\""],
        ["workspace delete", "started", "deletion of workspace \"Test\""],
        [
            "workspace delete",
            "done",
            "deletion removed 0 events, 0 event keys, 0 rejections, 1 workspaces",
        ],
        ["tenant rename", "done", "tenant \"Acme\" renamed to \"Other\""],
        ["tenant rename", "done", "tenant \"Other\" renamed to \"Acme\""],
        ["key rotate", "done", "key \"Default API key\" created"],
        ["key rotate", "done", "key \"Default API key\" ends at 2026-11-23T10:00:00"],
        ["key revoke", "done", "key \"Default API key\" revoked"],
        [
            "key create",
            "done",
            "key \"Site\" created for events:write on pages of https://a.example,https://b.example",
        ],
        ["key revoke", "failed", "there is no API key \"nobody\""],
        ["events erase", "started", "erasure of one person by user_id"],
        ["events erase", "done", "erasure removed 0 events and 0 rejections"],
        ["events purge", "started", "purge of events of all tenants received before 2026-12-03"],
        ["events purge", "done", "purge removed 3 events and 0 event keys"],
        ["tenant delete", "started", "deletion of tenant \"Acme\""],
        [
            "tenant delete",
            "done",
            "deletion removed 0 events, 3 event keys, 0 rejections, 1 workspaces and 3 API",
        ],
        ["tenant delete", "failed", "there is no tenant \"nobody\""],
    ];
    for (entry, expected) in entries.iter().zip(&expected) {
        assert_eq!(entry[..2], expected[..2], "{entry:?}");
        assert!(entry[2].starts_with(expected[2]), "{entry:?}: {}", expected[2]);
    }
    assert_eq!(entries.len(), expected.len(), "{entries:#?}");
    let log = machine.run("audit list").out;
    for key in [&printed["api_key"]["key"], &rotated["new"]["key"]] {
        let (_, secret) = key.as_str().unwrap().rsplit_once('_').unwrap();
        assert!(!log.contains(secret));
    }
    assert!(!log.contains("4711"), "the log is kept for ever, so it has no id of a person");
}

#[test]
fn audit_list_names_who_and_what_since_when() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres()] {
        let machine = TestMachine::on(&database);
        machine.json("tenant create Acme");
        machine.json("tenant create Other");
        let entry = machine.json("audit list --limit 1")["audit_log"][0].clone();
        let tenant = machine.json("tenant show Other");
        assert_eq!((&entry["tenant_id"], &entry["api_key_id"]), (&tenant["id"], &Value::Null));
        assert_eq!(entry["database_role"].is_string(), database.url_text().starts_with("postgres"));
        let since = entry["recorded_at"].as_str().unwrap();
        let recent = machine.json(&format!("audit list --since {since}"));
        assert_eq!(recent["audit_log"][0], entry);
        let later = machine.json("audit list --since 9000-01-01T00:00:00Z");
        assert_eq!(later, json!({"audit_log": []}));
        assert_eq!(machine.run("audit list --since yesterday --limit 0").errors().count(), 2);
        let machine = TestMachine { is_terminal: true, ..machine };
        let table = machine.run("audit list");
        assert!(table.out.starts_with("Recorded at"), "{}", table.out);
    }
}

#[test]
fn removal_that_fails_leaves_its_start_and_its_failure() {
    let machine = TestMachine::default();
    machine.perform("provision --tenant Acme --samples").unwrap();
    // The first step removes two of three events.
    machine.steps_left.set(Some(1));
    machine.perform("tenant delete acme --yes").unwrap_err();
    let listed = machine.perform("audit list --limit 2").unwrap();
    let log = listed["audit_log"].as_array().unwrap();
    assert_eq!((&log[0]["outcome"], &log[1]["outcome"]), (&json!("failed"), &json!("started")));
    let detail = log[0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("stopped after removing 2 events"), "{detail}");
}

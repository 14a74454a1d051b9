//! Deleting workspaces, dry runs, and what a person sees before and during a deletion.

use mercurio_admin::Exit;
use mercurio_domain::Owner;
use mercurio_domain::store::{Catalog, KeySelection};
use mercurio_domain::testing::{FixedClock, at, submission};
use mercurio_storage::testing::TestDatabase;
use serde_json::json;

use crate::test_machine::{TestMachine, owner_of};

/// The tenant Acme with the workspaces Default (three samples, one key) and Staging (two events, two
/// keys, one of them revoked), on a database.
fn fill(machine: &TestMachine, database: &TestDatabase) -> Owner {
    let owner = owner_of(&machine.json("provision --tenant Acme --samples"));
    let staging = machine.json("workspace create Staging --tenant Acme");
    let workspace_id = staging["id"].as_str().expect("a text").parse().expect("a number");
    let staging = Owner { workspace_id, ..owner };
    machine.json("key create A --tenant Acme --workspace Staging");
    let key = machine.json("key create B --tenant Acme --workspace Staging");
    machine.json(&format!("key revoke {} --yes", key["id"].as_str().expect("a text")));
    let events = submission(staging, at("2026-11-22T10:00:00Z"), &["a", "b"]);
    database.store().append(&[events]).expect("stored");
    staging
}

fn both() -> [TestDatabase; 2] {
    [TestDatabase::sqlite(), TestDatabase::postgres()]
}

#[test]
fn deleted_workspace_leaves_the_rest_of_its_tenant() {
    for database in both() {
        let mut machine = TestMachine::on(&database);
        fill(&machine, &database);
        assert_eq!(machine.run("workspace delete staging --tenant acme").code, 64, "no terminal");
        machine.answer = Some("yes\n");
        assert_eq!(machine.run("workspace delete staging --tenant acme").code, 1, "not its name");
        assert_eq!(machine.json("events count --tenant acme")["events"], 5);
        machine.answer = Some("staging\n");
        let deleted = machine.run("workspace delete Staging --tenant acme");
        let receipt = deleted.json();
        assert_eq!(receipt["tenant"]["name"], "Acme");
        assert_eq!(receipt["workspace"]["name"], "Staging");
        assert_eq!(
            receipt["removed"],
            json!({"events": 2, "event_keys": 2, "rejections": 0, "api_keys": 2})
        );
        let question = machine.questions.borrow().last().unwrap().clone();
        assert_eq!(
            question,
            "This permanently deletes the workspace \"Staging\" of the tenant \"Acme\" with 2 API keys \
             and 2 events.\nType the workspace's name to continue: "
        );
        assert_eq!(machine.json("events count --tenant acme")["events"], 3);
        let keys = machine.json("key list");
        assert_eq!(keys["api_keys"].as_array().unwrap().len(), 1);
        // Usage stays: a quota counts what was stored.
        assert_eq!(machine.json("tenant show acme")["usage"]["events"], 5);
        assert_eq!(machine.run("workspace delete Staging --tenant acme --yes").code, 4);
        machine.json("workspace create Staging --tenant acme");
    }
}

#[test]
fn dry_run_counts_what_the_deletion_then_removes() {
    for database in both() {
        let mut machine = TestMachine::on(&database);
        fill(&machine, &database);
        // 71 days after the events.
        machine.clock = FixedClock::at("2027-02-01T12:00:00Z");
        let before = machine.json("audit list");
        for line in [
            "events erase --tenant acme --user-id sample-user",
            "events purge --tenant acme --older-than 60d",
            "events purge --older-than 2027-01-31",
            "workspace delete Staging --tenant acme",
            "tenant delete acme",
        ] {
            let counted = machine.run(&format!("{line} --dry-run"));
            assert!(counted.err.contains("dry run: nothing was changed"), "{}", counted.err);
            let counted = counted.json();
            assert_eq!(counted["dry_run"], true);
            assert_eq!(machine.json("audit list"), before, "{line}: no entry");
            // On copies of the same state: a dry run of everything follows.
            let again = machine.json(&format!("{line} --dry-run --yes"));
            assert_eq!(again, counted, "{line}: nothing was removed");
        }
        for line in [
            "events erase --tenant acme --user-id sample-user",
            "events purge --tenant acme --older-than 60d",
            "workspace delete Staging --tenant acme",
            "tenant delete acme",
        ] {
            let counted = machine.json(&format!("{line} --dry-run"))["would_remove"].clone();
            assert_eq!(machine.json(&format!("{line} --yes"))["removed"], counted, "{line}");
        }
    }
}

#[test]
fn questions_say_who_and_how_many() {
    let database = TestDatabase::sqlite();
    let mut machine = TestMachine::on(&database);
    fill(&machine, &database);
    machine.clock = FixedClock::at("2027-02-01T12:00:00Z");
    machine.answer = Some("no\n");
    for (line, question) in [
        (
            "events erase --tenant acme --user-id sample-user",
            "This permanently deletes 2 events and 0 rejections of the person with user_id \
             \"sample-user\" in the tenant \"Acme\".\nType yes",
        ),
        (
            "events erase --tenant acme --anonymous-id nobody",
            "deletes 0 events and 0 rejections of the person with anonymous_id \"nobody\"",
        ),
        (
            "events purge --tenant acme --older-than 30d",
            "deletes 5 events of the tenant \"Acme\" received before 2027-01-02T12:00:00.000000Z.",
        ),
        (
            "events purge --older-than 2026-11-22T12:00:00Z",
            "deletes 0 events of all tenants received before 2026-11-22T00:00:00.000000Z.",
        ),
        ("tenant delete acme", "the tenant \"Acme\" with 2 workspaces, 3 API keys and 5 events.\n"),
    ] {
        assert_eq!(machine.run(line).code, 1, "{line}");
        let asked = machine.questions.borrow().last().unwrap().clone();
        assert!(asked.contains(question), "{line}: {asked}");
    }
    assert_eq!(machine.json("events count --tenant acme")["events"], 5);
    // Nothing was counted for a question that nobody can answer.
    machine.answer = None;
    let asked = machine.questions.borrow().len();
    assert_eq!(machine.run("tenant delete acme").code, 64);
    assert_eq!(machine.questions.borrow().len(), asked);
}

#[test]
fn deletion_says_what_it_waits_for() {
    let machine = TestMachine::default();
    machine.perform("provision --tenant Acme --samples").unwrap();
    machine.perform("workspace delete Default --tenant acme --yes").unwrap();
    machine.perform("tenant delete acme --yes").unwrap();
    assert_eq!(
        *machine.notices.borrow(),
        [
            "every server refuses the workspace within a second; removing events",
            "removed 3 events; waiting 20 s for requests in flight, whose events go too",
            "every server refuses the tenant within a second; removing events",
            "removed 0 events; waiting 20 s for requests in flight, whose events go too",
        ]
    );
}

#[test]
fn late_events_of_a_workspace_are_removed_too() {
    let machine = TestMachine::default();
    let owner = owner_of(&machine.perform("provision --tenant Acme --samples").unwrap());
    machine.late.set(Some(submission(owner, at("2026-11-22T10:00:01Z"), &["late"])));
    let receipt = machine.perform("workspace delete Default --tenant acme --yes").unwrap();
    assert_eq!(receipt["removed"]["events"], 4);
    assert!(machine.notices.borrow().iter().any(|notice| notice == "removed 1 late event"));
    assert_eq!(machine.store.event_count(), 0);
}

#[test]
fn interrupted_deletion_of_a_workspace_is_finished_later() {
    const DELETE: &str = "workspace delete default --tenant acme --yes";
    let machine = TestMachine::default();
    let owner = owner_of(&machine.perform("provision --tenant Acme --samples").unwrap());
    // After the first step, which removes two events.
    machine.steps_left.set(Some(1));
    let error = machine.perform(DELETE).unwrap_err();
    assert_eq!(error.exit(), Exit::Incomplete, "{error}");
    machine.steps_left.set(None);
    let listed = machine.perform("workspace list --tenant acme").unwrap();
    assert_eq!(listed["workspaces"][0]["status"], "deleting");
    let keys = machine.perform("key list --tenant acme").unwrap();
    assert_eq!(keys["api_keys"][0]["status"], "revoked");
    let refused = machine.perform("key create --tenant acme").unwrap_err();
    assert!(refused.to_string().contains("is being deleted: `workspace delete`"), "{refused}");
    assert_eq!(machine.perform(DELETE).unwrap()["removed"]["events"], 3, "of both runs");
    let keys = machine.store.api_keys(&KeySelection::Tenant(owner.tenant_id)).unwrap();
    assert!(keys.is_empty());
}

#[test]
fn workspace_to_delete_is_found_in_its_tenant_only() {
    let machine = TestMachine::default();
    machine.perform("provision --tenant Acme").unwrap();
    machine.perform("tenant create Other").unwrap();
    for line in [
        "workspace delete Default --tenant Other --yes",
        "workspace delete Nothing --tenant Acme --yes",
        "workspace delete Default --tenant Nobody --yes",
        "workspace delete Default --tenant Other --dry-run",
    ] {
        assert_eq!(machine.perform(line).unwrap_err().exit(), Exit::NotFound, "{line}");
    }
    let listed = machine.perform("workspace list --tenant Acme").unwrap();
    assert_eq!(listed["workspaces"][0]["status"], "active");
}

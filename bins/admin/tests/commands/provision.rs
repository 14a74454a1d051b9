//! `provision` and `seed`.

use mercurio_admin::Exit;
use mercurio_domain::store::EventQuery;
use mercurio_domain::store::Store;
use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::test_machine::{TestMachine, check_key, owner_of};

#[test]
fn provision_prints_the_documented_members() {
    let machine = TestMachine::default();
    let mut printed = machine.perform("provision --tenant Acme --workspace Production").unwrap();
    check_key(&*machine.store, &printed);
    let key = printed["api_key"].as_object_mut().unwrap();
    // Id and key are random: check their form, and compare the rest.
    let (id, secret) = (key.remove("id").unwrap(), key.remove("key").unwrap());
    assert!(secret.as_str().unwrap().starts_with(&format!("mk_{}_", id.as_str().unwrap())));
    let expected = json!({
        "tenant": {"id": "1", "name": "Acme"},
        "workspace": {"id": "1", "name": "Production"},
        "api_key": {"name": "Production API key", "scopes": ["events:write", "events:read"]},
        "samples": {"events": 0},
        "created_at": "2026-11-22T10:00:00.123456Z",
    });
    assert_eq!(printed, expected);
}

#[test]
fn provision_applies_key_name_scopes_and_samples() {
    let machine = TestMachine::default();
    let line = "provision --tenant Acme --key-name CI --scopes events:read --samples";
    let printed = machine.perform(line).unwrap();
    assert_eq!(printed["workspace"]["name"], "Default");
    assert_eq!(printed["api_key"]["name"], "CI");
    assert_eq!(printed["api_key"]["scopes"], json!(["events:read"]));
    assert_eq!(printed["samples"]["events"], 3);
    let page = machine.store.events(owner_of(&printed), &EventQuery::default()).unwrap();
    assert_eq!(page.events.len(), 3);
}

#[test]
fn provision_with_a_taken_name_changes_nothing() {
    let machine = TestMachine::default();
    machine.perform("provision --tenant Acme").unwrap();
    for taken in ["Acme", " aCME\t"] {
        let line = ["provision", "--tenant", taken, "--samples"];
        let error = machine.perform_args(&line).unwrap_err();
        assert_eq!(error.exit(), Exit::NameTaken);
        assert!(error.to_string().contains("choose another name"), "{error}");
    }
    assert_eq!(machine.store.event_count(), 0);
}

#[test]
fn unavailable_database_has_its_own_exit_code() {
    let machine = TestMachine::with(&[("SEED_TENANT_NAME", "Acme")]);
    machine.store.set_unavailable(true);
    for line in ["migrate", "seed", "provision --tenant a"] {
        assert_eq!(machine.perform(line).unwrap_err().exit(), Exit::Unavailable, "{line}");
    }
}

#[test]
fn second_seed_prints_the_same_ids_and_no_key() {
    let settings = [("SEED_TENANT_NAME", "Acme"), ("SEED_WORKSPACE_NAME", "Production")];
    let machine = TestMachine::with(&settings);
    let first = machine.perform("seed").unwrap();
    check_key(&*machine.store, &first);
    assert_eq!(first["api_key"]["name"], "Production API key");
    let second = machine.perform("seed").unwrap();
    let mut expected = first;
    expected["api_key"] = Value::Null;
    assert_eq!(second, expected);
}

#[test]
fn seed_adds_no_workspace_to_an_existing_tenant() {
    let settings = [("SEED_TENANT_NAME", "Acme"), ("SEED_WORKSPACE_NAME", "Staging")];
    let machine = TestMachine::with(&settings);
    machine.perform("provision --tenant Acme").unwrap();
    let error = machine.perform("seed").unwrap_err();
    assert_eq!(error.exit(), Exit::NameTaken);
    assert!(error.to_string().contains("Staging"), "{error}");
}

#[test]
fn invalid_settings_are_reported_together() {
    let settings = [("DATABASE_URL", "mysql://u:hunter2@h/d"), ("SEED_WORKSPACE_NAME", " ")];
    let seeded = TestMachine::with(&settings).run("seed");
    assert_eq!((seeded.code, &*seeded.out), (64, ""));
    for expected in ["DATABASE_URL", "SEED_TENANT_NAME", "SEED_WORKSPACE_NAME"] {
        assert!(seeded.err.contains(expected), "{}", seeded.err);
    }
    assert!(!seeded.err.contains("hunter2"), "{}", seeded.err);
}

#[test]
fn provision_creates_the_schema_on_sqlite() {
    let database = TestDatabase::empty_sqlite();
    let machine = TestMachine::on(&database);
    let provisioned = machine.run("provision --tenant Acme --samples");
    let printed = provisioned.json();
    check_key(&*database.store(), &printed);
    assert!(provisioned.err.contains("printed only once"), "{}", provisioned.err);
    let page = database.store().events(owner_of(&printed), &EventQuery::default()).unwrap();
    assert_eq!(page.events.len(), 3);

    let expected = json!({"backend": "sqlite", "applied": [], "state": "current"});
    assert_eq!(machine.json("migrate"), expected);
}

//! What makes a tenant, and the schema that it needs.

use mercurio_admin::Exit;
use mercurio_domain::store::{EventQuery, Store};
use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::bench::{Bench, check_key, json_of, owner_of};

#[test]
fn provision_prints_what_the_contract_says() {
    let bench = Bench::default();
    let mut printed =
        bench.perform(&["provision", "--tenant", "Acme", "--workspace", "Production"]).unwrap();
    check_key(&*bench.store, &printed);
    let key = printed["api_key"].as_object_mut().unwrap();
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
fn scopes_names_and_samples_are_as_asked() {
    let bench = Bench::default();
    let line = [
        "provision",
        "--tenant",
        "Acme",
        "--key-name",
        "CI",
        "--scopes",
        "events:read",
        "--samples",
    ];
    let printed = bench.perform(&line).unwrap();
    assert_eq!(printed["workspace"]["name"], "Default");
    assert_eq!(printed["api_key"]["name"], "CI");
    assert_eq!(printed["api_key"]["scopes"], json!(["events:read"]));
    assert_eq!(printed["samples"]["events"], 3);
    let page = bench.store.events(owner_of(&printed), &EventQuery::default()).unwrap();
    assert_eq!(page.events.len(), 3);
}

#[test]
fn a_taken_name_is_told_and_nothing_is_changed() {
    let bench = Bench::default();
    bench.perform(&["provision", "--tenant", "Acme"]).unwrap();
    for taken in ["Acme", " aCME\t"] {
        let error = bench.perform(&["provision", "--tenant", taken, "--samples"]).unwrap_err();
        assert_eq!(error.exit(), Exit::NameTaken);
    }
    assert_eq!(bench.store.event_count(), 0);
}

#[test]
fn a_database_that_is_away_is_told_apart() {
    let bench = Bench::with(&[("SEED_TENANT_NAME", "Acme")]);
    bench.store.set_unavailable(true);
    for line in [&["migrate"][..], &["seed"], &["provision", "--tenant", "a"]] {
        assert_eq!(bench.perform(line).unwrap_err().exit(), Exit::Unavailable, "{line:?}");
    }
}

#[test]
fn seeding_again_prints_the_same_ids_and_no_key() {
    let bench = Bench::with(&[("SEED_TENANT_NAME", "Acme"), ("SEED_WORKSPACE_NAME", "Production")]);
    let first = bench.perform(&["seed"]).unwrap();
    check_key(&*bench.store, &first);
    assert_eq!(first["api_key"]["name"], "Production API key");
    let second = bench.perform(&["seed"]).unwrap();
    let mut expected = first;
    expected["api_key"] = Value::Null;
    assert_eq!(second, expected);
}

#[test]
fn seeding_another_workspace_of_a_tenant_that_exists_is_refused() {
    let bench = Bench::with(&[("SEED_TENANT_NAME", "Acme"), ("SEED_WORKSPACE_NAME", "Staging")]);
    bench.perform(&["provision", "--tenant", "Acme"]).unwrap();
    let error = bench.perform(&["seed"]).unwrap_err();
    assert_eq!(error.exit(), Exit::NameTaken);
    assert!(error.to_string().contains("Staging"), "{error}");
}

#[test]
fn wrong_settings_are_told_together_before_anything_is_opened() {
    let bench =
        Bench::with(&[("DATABASE_URL", "mysql://u:hunter2@h/d"), ("SEED_WORKSPACE_NAME", " ")]);
    let (code, out, err) = bench.run(&["seed"]);
    assert_eq!((code, out.as_str()), (64, ""));
    for expected in ["DATABASE_URL", "SEED_TENANT_NAME", "SEED_WORKSPACE_NAME"] {
        assert!(err.contains(expected), "{err}");
    }
    assert!(!err.contains("hunter2"), "{err}");
}

#[test]
fn over_sqlite_provision_makes_the_schema_and_migrate_finds_it_current() {
    let database = TestDatabase::empty_sqlite();
    let bench = Bench::with(&[("DATABASE_URL", &database.url_text())]);
    let (code, out, err) = bench.run(&["provision", "--tenant", "Acme", "--samples"]);
    assert_eq!(code, 0, "{err}");
    let printed: Value = serde_json::from_str(&out).unwrap();
    check_key(&*database.store(), &printed);
    assert!(err.contains("shown this once"), "{err}");
    let page = database.store().events(owner_of(&printed), &EventQuery::default()).unwrap();
    assert_eq!(page.events.len(), 3);

    let (code, out, _) = bench.run(&["migrate"]);
    let printed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, printed),
        (0, json!({"backend": "sqlite", "applied": [], "state": "current"}))
    );
}

#[test]
fn over_sqlite_migrate_names_what_it_applied() {
    let database = TestDatabase::empty_sqlite();
    let bench = Bench::with(&[("DATABASE_URL", &database.url_text())]);
    let (code, out, err) = bench.run(&["migrate"]);
    let printed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0, "{err}");
    assert!(printed["applied"].as_array().is_some_and(|applied| !applied.is_empty()), "{printed}");
    assert_eq!(printed["state"], "current");
}

#[test]
fn over_the_schema_of_a_newer_release_goes_what_both_know_and_nothing_is_removed() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres()] {
        let bench =
            Bench { settings: vec![("DATABASE_URL", database.url_text())], ..Bench::default() };
        json_of(&bench.run(&["provision", "--tenant", "Acme", "--samples"]));
        database.apply_newer_migration();
        let status = json_of(&bench.run(&["migrate", "status"]));
        assert_eq!(
            (&status["state"], &status["unknown"]),
            (&json!("compatible"), &json!([TestDatabase::NEWER]))
        );
        // What a deployment of this release runs before its servers, when it is rolled back to.
        let up = json_of(&bench.run(&["migrate"]));
        assert_eq!((&up["state"], &up["applied"]), (&json!("compatible"), &json!([])));
        json_of(&bench.run(&["provision", "--tenant", "Other", "--samples"]));
        assert_eq!(json_of(&bench.run(&["events", "count", "--tenant", "Acme"]))["events"], 3);
        for line in [
            &["migrate", "down", "--yes"][..],
            &["tenant", "delete", "--tenant", "Acme", "--yes"],
            &["events", "erase", "--tenant", "Acme", "--user-id", "u", "--yes"],
        ] {
            let (code, _, err) = bench.run(line);
            assert_eq!(code, 1, "{line:?} {err}");
            assert!(
                err.contains(TestDatabase::NEWER) && err.contains("use that release's program"),
                "{err}"
            );
        }
        database.require_newer_program();
        assert_eq!(json_of(&bench.run(&["migrate", "status"]))["state"], "newer");
        for line in [&["migrate"][..], &["tenant", "list"]] {
            assert_eq!(bench.run(line).0, 1, "{line:?}");
        }
        assert_eq!(database.store().tenants(None, 10).unwrap().len(), 2);
    }
}

#[test]
fn the_schema_goes_up_and_down_a_migration_at_a_time() {
    for database in [TestDatabase::empty_sqlite(), TestDatabase::empty_postgres()] {
        let bench =
            Bench { settings: vec![("DATABASE_URL", database.url_text())], ..Bench::default() };
        let status = json_of(&bench.run(&["migrate", "status"]));
        let missing = status["missing"].as_array().unwrap().clone();
        assert_eq!((&status["state"], missing.is_empty()), (&json!("older"), false));
        assert_eq!(json_of(&bench.run(&["migrate", "up"]))["applied"], json!(missing));
        assert_eq!(json_of(&bench.run(&["migrate", "status"]))["state"], "current");
        assert_eq!(bench.run(&["migrate", "down"]).0, 64, "nobody to ask");
        for name in missing.iter().rev() {
            assert_eq!(json_of(&bench.run(&["migrate", "down", "--yes"]))["reverted"], *name);
        }
        assert_eq!(json_of(&bench.run(&["migrate", "down", "--yes"]))["reverted"], Value::Null);
        assert_eq!(json_of(&bench.run(&["migrate"]))["applied"], json!(missing));
    }
}

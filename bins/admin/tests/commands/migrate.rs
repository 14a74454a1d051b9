//! `migrate`, and the other commands on a schema of a newer release.

use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::test_machine::TestMachine;

#[test]
fn migrate_lists_the_applied_migrations_on_sqlite() {
    let database = TestDatabase::empty_sqlite();
    let printed = TestMachine::on(&database).json("migrate");
    assert!(printed["applied"].as_array().is_some_and(|applied| !applied.is_empty()), "{printed}");
    assert_eq!(printed["state"], "current");
}

#[test]
fn newer_schema_is_used_if_compatible_and_never_reverted() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres()] {
        let machine = TestMachine::on(&database);
        machine.json("provision --tenant Acme --samples");
        database.apply_newer_migration();
        let status = machine.json("migrate status");
        assert_eq!(status["state"], "compatible");
        assert_eq!(status["unknown"], json!([TestDatabase::NEWER]));
        // After a rollback, a deployment of this release runs `migrate` before its servers.
        let up = machine.json("migrate");
        assert_eq!((&up["state"], &up["applied"]), (&json!("compatible"), &json!([])));
        machine.json("provision --tenant Other --samples");
        assert_eq!(machine.json("events count --tenant Acme")["events"], 3);
        for line in [
            "migrate down --yes",
            "tenant delete Acme --yes",
            "events erase --tenant Acme --user-id u --yes",
        ] {
            let refused = machine.run(line);
            assert_eq!(refused.code, 1, "{line} {}", refused.err);
            assert!(refused.err.contains(TestDatabase::NEWER), "{}", refused.err);
            assert!(refused.err.contains("use that release's program"), "{}", refused.err);
        }
        // The newest migration now declares itself incompatible with this release (ADR 10).
        database.require_newer_program();
        assert_eq!(machine.json("migrate status")["state"], "newer");
        for line in ["migrate", "tenant list"] {
            assert_eq!(machine.run(line).code, 1, "{line}");
        }
        assert_eq!(database.store().tenants(None, 10).unwrap().len(), 2);
    }
}

#[test]
fn migrations_are_applied_together_and_reverted_one_by_one() {
    for database in [TestDatabase::empty_sqlite(), TestDatabase::empty_postgres()] {
        let machine = TestMachine::on(&database);
        let status = machine.json("migrate status");
        let missing = status["missing"].as_array().unwrap().clone();
        assert_eq!((&status["state"], missing.is_empty()), (&json!("older"), false));
        assert_eq!(machine.json("migrate up")["applied"], json!(missing));
        assert_eq!(machine.json("migrate status")["state"], "current");
        assert_eq!(machine.run("migrate down").code, 64, "no terminal, no --yes");
        for name in missing.iter().rev() {
            assert_eq!(machine.json("migrate down --yes")["reverted"], *name);
        }
        assert_eq!(machine.json("migrate down --yes")["reverted"], Value::Null);
        assert_eq!(machine.json("migrate")["applied"], json!(missing));
    }
}

//! A missing or empty database: only commands that make one create it.

use mercurio_storage::testing::TestDatabase;
use serde_json::json;

use crate::test_machine::TestMachine;

/// Commands that need a database, and do not make one.
const NEED_A_DATABASE: [&str; 28] = [
    "migrate status",
    "migrate down --yes",
    "tenant list",
    "tenant show Acme",
    "tenant create Acme",
    "tenant rename Acme Other",
    "tenant suspend Acme",
    "tenant resume Acme",
    "tenant limits Acme",
    "tenant delete Acme --yes",
    "workspace list --tenant Acme",
    "workspace create W --tenant Acme",
    "workspace rename W V --tenant Acme",
    "workspace delete W --tenant Acme --yes",
    "key list",
    "key show k3v9",
    "key create --tenant Acme",
    "key rotate k3v9",
    "key revoke k3v9 --yes",
    "events count --tenant Acme",
    "events list --tenant Acme",
    "events get e1 --tenant Acme",
    "events export --tenant Acme",
    "events tail --tenant Acme --workspace Default --after oldest --no-follow",
    "events import --tenant Acme --workspace Default",
    "events erase --tenant Acme --user-id u --yes",
    "events purge --older-than 400d --yes",
    "audit list",
];

#[test]
fn missing_database_is_named_and_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data/mercurio.db");
    let machine = TestMachine::with(&[("DATABASE_URL", &format!("sqlite://{}", file.display()))]);
    for line in NEED_A_DATABASE {
        let refused = machine.run(line);
        assert_eq!((refused.code, &*refused.out), (1, ""), "{line}: {}", refused.err);
        for part in [&format!("there is no database {file:?}"), "provision", "migrate", "start"] {
            assert!(refused.err.contains(part), "{line}: {}", refused.err);
        }
    }
    let checked = machine.json("doctor");
    assert_eq!(checked["state"], "warning");
    machine.json("config");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was created");
    machine.json("provision --tenant Acme");
    assert_eq!(machine.json("tenant list")["tenants"][0]["name"], "Acme");
}

#[test]
fn database_without_tables_is_left_as_it_is() {
    let database = TestDatabase::empty_sqlite();
    let machine = TestMachine::on(&database);
    for line in NEED_A_DATABASE.iter().filter(|line| !line.starts_with("migrate")) {
        let refused = machine.run(line);
        assert_eq!((refused.code, &*refused.out), (1, ""), "{line}: {}", refused.err);
        assert!(refused.err.contains("lacks 4 migrations: run `mercurio-admin migrate`"));
    }
    assert_eq!(machine.json("migrate status")["state"], "older");
    assert_eq!(machine.json("migrate")["state"], "current");
    assert_eq!(machine.json("tenant list"), json!({"tenants": []}));
}

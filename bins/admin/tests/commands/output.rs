//! Results in every format.

use mercurio_storage::testing::TestDatabase;
use serde_json::Value;

use crate::test_machine::TestMachine;

/// Every command that prints a list, with the member that holds it.
const LISTS: [(&str, &str); 8] = [
    ("tenant list", "tenants"),
    ("workspace list --tenant acme", "workspaces"),
    ("key list --tenant acme", "api_keys"),
    ("events count --tenant acme", "workspaces"),
    ("events list --tenant acme", "events"),
    ("audit list", "audit_log"),
    ("doctor", "checks"),
    ("config", "settings"),
];

fn on_terminal(database: &TestDatabase) -> TestMachine {
    TestMachine { is_terminal: true, ..TestMachine::on(database) }
}

/// Returns the rows that are the same in every run: `doctor` measures free space and latency.
fn constant(csv: &str) -> Vec<&str> {
    let measured = ["\"free space\"", "\"database\""];
    csv.lines().filter(|row| !measured.iter().any(|check| row.starts_with(check))).collect()
}

#[test]
fn columns_are_the_members_of_json_in_every_format() {
    let database = TestDatabase::sqlite();
    let machine = TestMachine::on(&database);
    machine.json("provision --tenant Acme --samples");
    for (line, list) in LISTS {
        let printed: Value = serde_json::from_str(&machine.run(line).out).unwrap();
        let row = printed[list][0].as_object().unwrap();
        let members: Vec<&str> = row.keys().map(String::as_str).collect();
        let csv = machine.run(&format!("{line} --output csv")).out;
        let header = csv::Reader::from_reader(csv.as_bytes()).headers().unwrap().clone();
        assert_eq!(header.iter().collect::<Vec<_>>(), members, "{line}");
        let yaml = machine.run(&format!("{line} --output yaml")).out;
        for member in &members {
            assert!(yaml.contains(&format!(" {member}:")), "{line}: {member}: {yaml}");
        }
        // Every member is a column, and there is no other.
        let chosen = machine.run(&format!("{line} -o csv --columns {}", members.join(",")));
        assert_eq!(constant(&chosen.out), constant(&csv), "{line}: {}", chosen.err);
        let unknown = machine.run(&format!("{line} -o csv --columns _"));
        let known = unknown.err.split_once(": use ").unwrap().1.lines().next().unwrap();
        let mut known: Vec<&str> = known.split(", ").collect();
        let mut expected = members.clone();
        known.sort_unstable();
        expected.sort_unstable();
        assert_eq!(known, expected, "{line}");
    }
}

#[test]
fn empty_list_is_no_error_in_any_format() {
    let database = TestDatabase::sqlite();
    let machine = TestMachine::on(&database);
    assert_eq!(machine.run("tenant list -o table").out, "no tenants\n");
    assert_eq!(machine.run("tenant list -o yaml").out, "tenants: []\n");
    let header = "\"id\",\"name\",\"status\",\"created_at\"\r\n";
    assert_eq!(machine.run("tenant list -o csv").out, header);
}

#[test]
fn columns_are_refused_for_formats_that_have_all_members() {
    let database = TestDatabase::sqlite();
    let machine = TestMachine::on(&database);
    // A pipe gets JSON.
    for line in ["tenant list --columns name", "tenant list --columns name --output yaml"] {
        let refused = machine.run(line);
        assert_eq!((refused.code, &*refused.out), (64, ""), "{line}");
        assert!(refused.err.contains("--columns needs --output table or csv"), "{}", refused.err);
    }
    assert_eq!(on_terminal(&database).run("tenant list --columns name").code, 0);
}

#[test]
fn table_in_a_pipe_has_no_limit_of_width() {
    let database = TestDatabase::sqlite();
    let machine = TestMachine::on(&database);
    machine.json("provision --tenant Acme --samples");
    let line = "events list --tenant acme --output table";
    let piped = machine.run(line).out;
    assert!(piped.lines().all(|line| line.chars().count() > 80), "{piped}");
    let narrow = on_terminal(&database).run(line).out;
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    assert_eq!(piped.lines().count(), narrow.lines().count());
    assert!(!piped.contains('\u{1b}'), "{piped}");
}

#[test]
fn new_key_is_printed_in_the_format_asked_for() {
    let database = TestDatabase::sqlite();
    let machine = TestMachine::on(&database);
    let yaml = machine.run("provision --tenant Acme -o yaml").out;
    assert!(yaml.contains("\n  key: \"mk_"), "{yaml}");
    let csv = machine.run("key create --tenant Acme -o csv").out;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let at = reader.headers().unwrap().iter().position(|name| name == "key").unwrap();
    let record = reader.records().next().unwrap().unwrap();
    assert!(record[at].starts_with("mk_"), "{csv}");
    // On a narrow terminal too, a key is one word that can be copied.
    let machine = TestMachine { is_terminal: true, ..machine };
    let table = machine.run("key create --tenant Acme").out;
    let key = table.split_whitespace().find(|word| word.starts_with("mk_"));
    assert!(key.is_some_and(|key| key.len() > 60), "{table}");
}

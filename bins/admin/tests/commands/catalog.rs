//! Tenants, workspaces, API keys and limits.

use mercurio_admin::{AdminError, Exit};
use mercurio_domain::api_key::PresentedKey;
use mercurio_domain::store::Catalog;
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::at;
use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::test_machine::TestMachine;

#[test]
fn tenant_is_created_suspended_and_resumed() {
    let machine = TestMachine::default();
    let created = machine.perform_args(&["tenant", "create", " Acme "]).unwrap();
    let expected = json!({
        "id": "1",
        "name": "Acme",
        "status": "active",
        "created_at": "2026-11-22T10:00:00.123456Z",
        "limits": {},
    });
    assert_eq!(created, expected);
    let taken = machine.perform("tenant create aCME").unwrap_err();
    assert_eq!(taken.exit(), Exit::NameTaken);
    // Suspending twice is no error.
    for (command, status) in
        [("suspend", "suspended"), ("suspend", "suspended"), ("resume", "active")]
    {
        for tenant in ["acme", "id:1"] {
            let changed = machine.perform(&format!("tenant {command} {tenant}")).unwrap();
            assert_eq!(changed["status"], status, "{command}");
            let mut shown = machine.perform(&format!("tenant show {tenant}")).unwrap();
            let usage = shown.as_object_mut().unwrap().remove("usage");
            assert_eq!(usage, Some(json!({"month": "2026-11", "events": 0})));
            assert_eq!(shown, changed);
        }
    }
    machine.perform("tenant create Other").unwrap();
    // An alias.
    let listed = machine.perform("tenant ls").unwrap();
    let names: Vec<_> =
        listed["tenants"].as_array().unwrap().iter().map(|tenant| &tenant["name"]).collect();
    assert_eq!(names, ["Acme", "Other"]);
}

#[test]
fn tenant_list_reads_every_page() {
    let machine = TestMachine::default();
    // Two pages of 1,000 and a rest.
    for number in 0..2_001 {
        let name = Name::from_store(format!("T{number}"));
        machine.store.create_tenant(&name, at("2026-11-22T10:00:00Z")).unwrap();
    }
    let listed = machine.perform("tenant list").unwrap();
    assert_eq!(listed["tenants"].as_array().unwrap().len(), 2_001);
}

#[test]
fn unknown_name_has_its_own_exit_code() {
    let machine = TestMachine::default();
    machine.perform("tenant create Acme").unwrap();
    for (line, named) in [
        ("tenant show Nobody", "no tenant \"Nobody\": `tenant list`"),
        ("tenant suspend id:7", "no tenant \"id:7\""),
        // Parses as an id, but no tenant has it.
        ("tenant limits id:-1 --set max_batch_events=5", "no tenant \"id:-1\""),
        ("workspace list --tenant Nobody", "no tenant \"Nobody\""),
        ("workspace create W --tenant Nobody", "no tenant \"Nobody\""),
        ("key list --tenant Nobody", "no tenant \"Nobody\""),
        (
            "key create --tenant Acme --workspace Staging",
            "no workspace \"Staging\": `workspace list --tenant …`",
        ),
        ("key revoke abc", "no API key \"abc\": `key list`"),
        ("key rotate abc", "no API key \"abc\""),
    ] {
        let error = machine.perform(line).unwrap_err();
        assert_eq!(error.exit(), Exit::NotFound, "{line}");
        assert!(error.to_string().contains(named), "{line}: {error}");
    }
}

#[test]
fn limits_are_set_shown_and_unset() {
    let machine = TestMachine::default();
    machine.perform("tenant create Acme").unwrap();
    let limits = |options| limits_of_acme(&machine, options);
    let set = limits("--set events_per_second=500 --set=max_batch_events=100").unwrap();
    assert_eq!(set, json!({"max_batch_events": 100, "events_per_second": 500}));
    let changed = limits("--unset max_batch_events --set requests_burst=0").unwrap();
    let expected = json!({"events_per_second": 500, "requests_burst": 0});
    assert_eq!(changed, expected);
    assert_eq!(limits("").unwrap(), expected);
    for (options, message) in [
        (
            "--set max_batch_events=0",
            "max_batch_events is \"0\"; it must be a whole number from 1 to 10000",
        ),
        ("--set max_batch_events=-1", "from 1 to 10000"),
        ("--set max_batch_events=99999999999999999999", "from 1 to 10000"),
        ("--set max_batch_events", "limit=value"),
        ("--set colour=5", "there is no limit \"colour\""),
        ("--unset colour", "there is no limit \"colour\""),
        ("--set events_burst=1 --unset events_burst", "events_burst is given twice"),
    ] {
        let error = limits(options).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{options}");
        assert!(error.to_string().contains(message), "{options}: {error}");
    }
    assert_eq!(limits("").unwrap(), expected, "nothing was changed");
}

fn limits_of_acme(machine: &TestMachine, options: &str) -> Result<Value, AdminError> {
    let shown = machine.perform(&format!("tenant limits Acme {options}"))?;
    Ok(shown["limits"].clone())
}

#[test]
fn tenant_show_includes_usage_of_this_month() {
    let machine = TestMachine::default();
    let created = machine.perform("provision --tenant Acme --samples").unwrap();
    let samples = created["samples"]["events"].as_u64().unwrap();
    let changed = machine.perform("tenant limits Acme --set monthly_events=1000").unwrap();
    assert_eq!(changed["limits"], json!({"monthly_events": 1000}));
    let usage = || machine.perform("tenant show Acme").unwrap()["usage"].clone();
    assert!(samples > 0);
    assert_eq!(usage(), json!({"month": "2026-11", "events": samples}));
    // A month begins at midnight UTC, and its usage at zero.
    machine.clock.set(at("2026-12-01T00:00:00Z"));
    assert_eq!(usage(), json!({"month": "2026-12", "events": 0}));
}

#[test]
fn workspace_name_is_unique_within_its_tenant() {
    let machine = TestMachine::default();
    machine.perform("tenant create Acme").unwrap();
    let created = machine.perform("workspace create Staging --tenant acme").unwrap();
    assert_eq!((&created["name"], &created["tenant_id"]), (&json!("Staging"), &json!("1")));
    let taken =
        machine.perform_args(&["workspace", "create", " staging", "--tenant", "acme"]).unwrap_err();
    assert_eq!(taken.exit(), Exit::NameTaken);
    assert!(taken.to_string().contains("workspace \"staging\" exists"), "{taken}");
    let listed = machine.perform("workspace list --tenant acme").unwrap();
    assert_eq!(listed, json!({"workspaces": [created]}));
    machine.perform("tenant create Other").unwrap();
    machine.perform("workspace create Staging --tenant Other").unwrap();
}

#[test]
fn disguised_name_is_a_usage_error() {
    let machine = TestMachine::default();
    let long = "n".repeat(256);
    // Control, bidirectional and invisible characters and mixed scripts could disguise a name.
    let disguised = ["a\u{7}", "a\u{202E}b", "\u{200F}", "Ac\u{200B}me", "\u{410}cme"];
    for name in ["", " \u{3000}", &long].into_iter().chain(disguised) {
        for line in [
            ["tenant", "create", name, "--output", "json"].as_slice(),
            &["tenant", "show", name],
            &["workspace", "create", name, "--tenant", "Acme"],
            &["key", "create", name, "--tenant", "Acme"],
        ] {
            assert_eq!(machine.perform_args(line).unwrap_err().exit(), Exit::Usage, "{line:?}");
        }
    }
}

#[test]
fn tenant_cannot_be_named_like_the_id_of_another() {
    let machine = TestMachine::default();
    machine.perform("tenant create Acme").unwrap();
    for line in ["tenant create id:1", "provision --tenant ID:1"] {
        let error = machine.perform(line).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{line}");
        assert!(error.to_string().contains("cannot begin with id:"), "{line}: {error}");
    }
    assert_eq!(machine.perform("tenant show id:1").unwrap()["name"], "Acme");
}

#[test]
fn key_is_created_and_listed_without_its_secret() {
    let machine = TestMachine::default();
    machine.perform("provision --tenant Acme").unwrap();
    let line = "key create CI --tenant Acme --scopes events:write --expires 90d";
    let created = machine.perform(line).unwrap();
    let presented = PresentedKey::parse(created["key"].as_str().unwrap()).unwrap();
    assert_eq!(created["id"].as_str(), Some(presented.id().as_str()));
    assert_eq!(created["status"], "active");
    // 90 days after the time of the clock.
    assert_eq!(created["expires_at"], "2027-02-20T10:00:00.123456Z");
    assert_eq!((&created["name"], &created["scopes"]), (&json!("CI"), &json!(["events:write"])));
    let listed = machine.perform("key list --tenant Acme").unwrap();
    let keys = listed["api_keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        assert!(key.get("key").is_none() && key["last_used_at"].is_null(), "{key}");
    }
}

#[test]
fn rotated_key_stays_valid_until_revoked() {
    let machine = TestMachine::default();
    machine.perform("provision --tenant Acme").unwrap();
    let created = machine.perform("key create CI --tenant Acme").unwrap();
    let id = created["id"].as_str().unwrap();

    let rotated = machine.perform(&format!("key rotate {id} --overlap 7d")).unwrap();
    let (new, old) = (&rotated["new"], &rotated["old"]);
    assert_eq!(old["expires_at"], "2026-11-29T10:00:00.123456Z");
    assert_eq!((&old["status"], &new["status"]), (&json!("active"), &json!("active")));
    assert_eq!((&new["name"], &new["scopes"]), (&created["name"], &created["scopes"]));
    assert!(old.get("key").is_none());
    let presented = PresentedKey::parse(new["key"].as_str().unwrap()).unwrap();
    let stored = machine.store.find_api_key(presented.id()).unwrap().unwrap();
    assert!(presented.matches(&stored.secret_hash));

    let revoke = format!("key revoke {id} --yes");
    let revoked = machine.perform(&revoke).unwrap();
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(revoked["revoked_at"], "2026-11-22T10:00:00.123456Z");
    assert_eq!(machine.perform(&revoke).unwrap(), revoked, "revoking twice changes nothing");
    let error = machine.perform(&format!("key rotate {id}")).unwrap_err();
    assert_eq!(error.exit(), Exit::Failed);
    assert!(error.to_string().contains("was revoked: create another"), "{error}");
}

#[test]
fn rotated_key_lives_as_long_as_the_old_one_unless_told() {
    let machine = TestMachine::default();
    machine.perform("provision --tenant Acme").unwrap();
    let created = machine.perform("key create --tenant Acme --expires 90d").unwrap();
    let id = created["id"].as_str().unwrap();
    machine.clock.set(at("2026-12-22T10:00:00.123456Z"));
    for (options, expires_at) in [
        // 90 days after the rotation.
        ("", json!("2027-03-22T10:00:00.123456Z")),
        ("--expires 7d", json!("2026-12-29T10:00:00.123456Z")),
        ("--expires 2027-01-01T00:00:00Z", json!("2027-01-01T00:00:00.000000Z")),
        ("--expires 2027-01-01", json!("2027-01-01T00:00:00.000000Z")),
        ("--expires 1y", json!("2027-12-22T10:00:00.123456Z")),
        ("--expires never", Value::Null),
    ] {
        // The overlap ends after the old key, which keeps its earlier expiry.
        let rotated =
            machine.perform(&format!("key rotate {id} --overlap 400d {options}")).unwrap();
        assert_eq!(rotated["new"]["expires_at"], expires_at, "{options}");
        assert_eq!(rotated["old"]["expires_at"], created["expires_at"], "{options}");
    }
    let forever = machine.perform("key create --tenant Acme").unwrap();
    let rotate = format!("key rotate {}", forever["id"].as_str().unwrap());
    assert_eq!(machine.perform(&rotate).unwrap()["new"]["expires_at"], Value::Null);
    let past = machine.perform(&format!("{rotate} --expires 2026-12-01T00:00:00Z"));
    assert_eq!(past.unwrap_err().exit(), Exit::Usage);
}

#[test]
fn key_with_invalid_expiry_or_id_is_refused() {
    let machine = TestMachine::default();
    let printed = machine.perform("provision --tenant Acme").unwrap();
    let whole = printed["api_key"]["key"].as_str().unwrap();
    for line in [
        "key create --tenant Acme --expires 2026-11-22T10:00:00Z",
        "key create --tenant Acme --expires tomorrow",
        "key create --tenant Acme --expires soon",
        "key create --tenant Acme --expires 0s",
        "key create --tenant Acme --expires 1d --expires 2027-11-22T10:00:00Z",
        &format!("key revoke {whole}"),
        &format!("key rotate {whole}"),
        "key revoke",
    ] {
        let error = machine.perform(line).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{line}");
        assert!(!error.to_string().contains(whole), "{error}");
    }
    let listed = machine.perform("key list --tenant Acme").unwrap();
    assert_eq!(listed["api_keys"].as_array().unwrap().len(), 1);
}

#[test]
fn output_is_a_table_on_a_terminal_and_json_otherwise() {
    let database = TestDatabase::sqlite();
    // Only a run over a real database prints; `perform` returns the result.
    let machine = TestMachine { is_terminal: true, ..TestMachine::on(&database) };
    assert_eq!(machine.run("provision --tenant Acme").code, 0);
    let listed = machine.run("tenant list");
    assert_eq!(listed.code, 0);
    let lines: Vec<Vec<_>> =
        listed.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "Name", "Status", "Created", "at"]);
    assert_eq!(lines[1][..3], ["1", "Acme", "active"]);
    let listed = machine.run("tenant --output json list");
    assert_eq!(serde_json::from_str::<Value>(&listed.out).unwrap()["tenants"][0]["id"], "1");
}

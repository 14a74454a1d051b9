//! Listing, showing and revoking API keys.

use mercurio_admin::Exit;
use mercurio_domain::ApiKeyId;
use mercurio_domain::api_key::KeyUse;
use mercurio_domain::store::Catalog;
use mercurio_domain::testing::at;
use serde_json::{Value, json};

use crate::test_machine::TestMachine;

/// The id of the key of a new tenant.
fn provision(machine: &TestMachine, tenant: &str) -> String {
    let printed = machine.perform(&format!("provision --tenant {tenant}")).expect("success");
    printed["api_key"]["id"].as_str().expect("a text").to_owned()
}

#[test]
fn keys_of_all_tenants_are_listed_with_their_owners() {
    let machine = TestMachine::default();
    assert_eq!(machine.perform("key list").unwrap(), json!({"api_keys": []}));
    let (acme, other) = (provision(&machine, "Acme"), provision(&machine, "Other"));
    machine.perform("workspace rename Default Production --tenant Other").unwrap();
    let listed = machine.perform("key list").unwrap();
    let shown: Vec<_> = listed["api_keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| [&key["id"], &key["tenant_name"], &key["workspace_name"]])
        .collect();
    assert_eq!(
        shown,
        [
            [&json!(acme), &json!("Acme"), &json!("Default")],
            [&json!(other), &json!("Other"), &json!("Production")]
        ]
    );
    let of_one = machine.perform("key list --tenant other").unwrap();
    assert_eq!(of_one["api_keys"], json!([listed["api_keys"][1]]));
}

#[test]
fn key_show_has_everything_but_the_secret() {
    let machine = TestMachine::default();
    let id = provision(&machine, "Acme");
    machine.perform("tenant limits Acme --set max_batch_events=7").unwrap();
    machine.perform("tenant suspend Acme").unwrap();
    let used = KeyUse { key_id: ApiKeyId::new(&*id), used_at: at("2026-11-22T09:59:00Z") };
    machine.store.note_key_uses(&[used]).unwrap();
    let shown = machine.perform(&format!("key show {id}")).unwrap();
    let expected = json!({
        "id": id,
        "name": "Default API key",
        "tenant_id": "1",
        "tenant_name": "Acme",
        "workspace_id": "1",
        "workspace_name": "Default",
        "scopes": ["events:write", "events:read"],
        "origins": null,
        "status": "active",
        "created_at": "2026-11-22T10:00:00.123456Z",
        "expires_at": null,
        "revoked_at": null,
        "last_used_at": "2026-11-22T09:59:00.000000Z",
        "tenant_status": "suspended",
        "limits": {"max_batch_events": 7},
    });
    assert_eq!(shown, expected);
    assert_eq!(machine.perform("key show k3v9").unwrap_err().exit(), Exit::NotFound);
}

#[test]
fn key_with_origins_only_writes_and_keeps_them() {
    let machine = TestMachine::default();
    provision(&machine, "Acme");
    let create = "key create Site --tenant Acme --origins";
    let created = machine
        .perform(&format!("{create} HTTPS://Shop.Example:443/,https://*.shop.example"))
        .unwrap();
    let origins = json!(["https://shop.example", "https://*.shop.example"]);
    assert_eq!((&created["origins"], &created["scopes"]), (&origins, &json!(["events:write"])));
    let id = created["id"].as_str().unwrap();
    let shown = machine.perform(&format!("key show {id}")).unwrap();
    assert_eq!((&shown["origins"], &shown["scopes"]), (&origins, &created["scopes"]));
    assert_eq!(machine.perform("key list").unwrap()["api_keys"][1]["origins"], origins);
    let rotated = machine.perform(&format!("key rotate {id}")).unwrap();
    for key in ["new", "old"] {
        assert_eq!(rotated[key]["origins"], origins, "{key}");
        assert_eq!(rotated[key]["scopes"], created["scopes"], "{key}");
    }
    let named = machine.perform(&format!("{create} https://a.example --scopes events:write"));
    assert_eq!(named.unwrap()["origins"], json!(["https://a.example"]));
    let of_another = machine.perform("key create --tenant Acme").unwrap();
    assert_eq!(of_another["origins"], Value::Null);
    let keys = machine.perform("key list").unwrap()["api_keys"].as_array().unwrap().len();
    for (options, error) in [
        (
            "shop.example",
            "--origins: \"shop.example\" has no scheme: write it as https://shop.example",
        ),
        ("https://a.example,*", "--origins: \"*\" allows every page"),
        (",", "--origins: at least one origin is needed"),
        (
            "https://a.example --scopes events:read",
            "--scopes: a key with --origins has events:write alone, not events:read",
        ),
        ("a --scopes all", "--scopes: there is no scope \"all\""),
        ("a --scopes all", "--origins: \"a\" has no scheme"),
    ] {
        let refused = machine.perform(&format!("{create} {options}")).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage, "{options}");
        assert!(refused.to_string().contains(error), "{options}: {refused}");
    }
    // An empty variable must not make a key for everywhere.
    let empty = machine.perform_args(&["key", "create", "--tenant", "Acme", "--origins", ""]);
    assert!(empty.unwrap_err().to_string().contains("--origins: at least one origin"));
    assert_eq!(machine.perform("key list").unwrap()["api_keys"].as_array().unwrap().len(), keys);
}

#[test]
fn revocation_asks_and_says_which_key_is_meant() {
    let mut machine = TestMachine::default();
    let id = provision(&machine, "Acme");
    let revoke = format!("key revoke {id}");
    let refused = machine.perform(&revoke).unwrap_err();
    assert_eq!((refused.exit(), refused.to_string().contains("give --yes")), (Exit::Usage, true));
    machine.answer = Some("no\n");
    assert_eq!(machine.perform(&revoke).unwrap_err().exit(), Exit::Failed);
    let status = || machine.perform(&format!("key show {id}")).unwrap()["status"].clone();
    assert_eq!(status(), "active");
    let used = KeyUse { key_id: ApiKeyId::new(&*id), used_at: at("2026-11-22T09:57:00Z") };
    machine.store.note_key_uses(&[used]).unwrap();
    machine.perform(&revoke).unwrap_err();
    for part in ["never used", "last used at 2026-11-22T09:57:00.000000Z, 3 minutes ago"] {
        let questions = machine.questions.borrow();
        let question = questions.iter().find(|question| question.contains(part)).expect(part);
        for part in [&*id, "\"Default API key\"", "\"Acme\"", "\"Default\"", "Type yes"] {
            assert!(question.contains(part), "{question}");
        }
    }
    let machine = TestMachine { answer: Some("yes\n"), ..machine };
    assert_eq!(machine.perform(&revoke).unwrap()["status"], "revoked");
    // A second time there is nothing to ask.
    let asked = machine.questions.borrow().len();
    assert_eq!(machine.perform(&revoke).unwrap()["status"], Value::from("revoked"));
    assert_eq!(machine.questions.borrow().len(), asked);
}

#[test]
fn renamed_tenant_and_workspace_keep_their_ids() {
    let machine = TestMachine::default();
    let id = provision(&machine, "Acme");
    let renamed = machine.perform_args(&["tenant", "rename", "acme", "Acme Corporation"]).unwrap();
    assert_eq!((&renamed["id"], &renamed["name"]), (&json!("1"), &json!("Acme Corporation")));
    assert_eq!(machine.perform("tenant show Acme").unwrap_err().exit(), Exit::NotFound);
    let renamed = machine.perform("workspace rename default Shop --tenant id:1").unwrap();
    assert_eq!((&renamed["id"], &renamed["name"]), (&json!("1"), &json!("Shop")));
    let key = machine.perform(&format!("key show {id}")).unwrap();
    assert_eq!(
        (&key["tenant_name"], &key["workspace_name"], &key["status"]),
        (&json!("Acme Corporation"), &json!("Shop"), &json!("active"))
    );
    provision(&machine, "Acme");
    machine.perform("workspace create Staging --tenant id:1").unwrap();
    for (line, exit) in [
        ("tenant rename id:1 acme", Exit::NameTaken),
        ("tenant rename Nobody New", Exit::NotFound),
        ("tenant rename id:1 id:7", Exit::Usage),
        ("workspace rename Shop staging --tenant id:1", Exit::NameTaken),
        ("workspace rename Nothing New --tenant id:1", Exit::NotFound),
        ("workspace rename Shop New --tenant Nobody", Exit::NotFound),
    ] {
        assert_eq!(machine.perform(line).unwrap_err().exit(), exit, "{line}");
    }
}

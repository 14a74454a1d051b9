//! Tenants, workspaces, keys and limits, as an admin tends them.

use mercurio_admin::Exit;
use mercurio_domain::api_key::PresentedKey;
use mercurio_domain::store::Catalog;
use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::test_machine::Bench;

#[test]
fn tenants_are_made_shown_suspended_and_resumed() {
    let bench = Bench::default();
    let made = bench.perform(&["tenant", "create", "--tenant", " Acme "]).unwrap();
    let expected = json!({
        "id": "1", "name": "Acme", "status": "active", "created_at": "2026-11-22T10:00:00.123456Z", "limits": {},
    });
    assert_eq!(made, expected);
    let taken = bench.perform(&["tenant", "create", "--tenant", "aCME"]).unwrap_err();
    assert_eq!(taken.exit(), Exit::NameTaken);
    for (command, status) in
        [("suspend", "suspended"), ("suspend", "suspended"), ("resume", "active")]
    {
        for tenant in ["acme", "id:1"] {
            let shown = bench.perform(&["tenant", command, "--tenant", tenant]).unwrap();
            assert_eq!(shown["status"], status, "{command}");
            let mut again = bench.perform(&["tenant", "show", "--tenant", tenant]).unwrap();
            let usage = again.as_object_mut().unwrap().remove("usage");
            assert_eq!(usage, Some(json!({"month": "2026-11", "events": 0})));
            assert_eq!(again, shown);
        }
    }
    bench.perform(&["tenant", "create", "--tenant", "Other"]).unwrap();
    let listed = bench.perform(&["tenant", "list"]).unwrap();
    let names: Vec<_> =
        listed["tenants"].as_array().unwrap().iter().map(|tenant| &tenant["name"]).collect();
    assert_eq!(names, ["Acme", "Other"]);
}

#[test]
fn a_list_of_tenants_has_them_all() {
    let bench = Bench::default();
    for number in 0..2_001 {
        let name = mercurio_domain::tenant::Name::from_store(format!("T{number}"));
        bench
            .store
            .create_tenant(&name, mercurio_domain::testing::at("2026-11-22T10:00:00Z"))
            .unwrap();
    }
    let listed = bench.perform(&["tenant", "list"]).unwrap();
    assert_eq!(listed["tenants"].as_array().unwrap().len(), 2_001);
}

#[test]
fn what_is_not_there_is_told_with_its_own_exit_code() {
    let bench = Bench::default();
    bench.perform(&["tenant", "create", "--tenant", "Acme"]).unwrap();
    for (line, named) in [
        (&["tenant", "show", "--tenant", "Nobody"][..], "no tenant \"Nobody\""),
        (&["tenant", "suspend", "--tenant", "id:7"], "no tenant \"id:7\""),
        (
            &["tenant", "limits", "--tenant", "id:-1", "--set", "max_batch_events=5"],
            "no tenant \"id:-1\"",
        ),
        (&["workspace", "list", "--tenant", "Nobody"], "no tenant \"Nobody\""),
        (
            &["workspace", "create", "--tenant", "Nobody", "--workspace", "W"],
            "no tenant \"Nobody\"",
        ),
        (&["key", "list", "--tenant", "Nobody"], "no tenant \"Nobody\""),
        (
            &["key", "create", "--tenant", "Acme", "--workspace", "Staging"],
            "no workspace \"Staging\"",
        ),
        (&["key", "revoke", "--key", "abc"], "no API key \"abc\""),
        (&["key", "rotate", "--key", "abc"], "no API key \"abc\""),
    ] {
        let error = bench.perform(line).unwrap_err();
        assert_eq!(error.exit(), Exit::NotFound, "{line:?}");
        assert!(error.to_string().contains(named), "{line:?}: {error}");
    }
}

#[test]
fn limits_are_set_shown_and_taken_away() {
    let bench = Bench::default();
    bench.perform(&["tenant", "create", "--tenant", "Acme"]).unwrap();
    let limits = |more: &[&str]| {
        let line = [&["tenant", "limits", "--tenant", "Acme"], more].concat();
        bench.perform(&line).map(|shown| shown["limits"].clone())
    };
    let set = limits(&["--set", "events_per_second=500", "--set=max_batch_events=100"]).unwrap();
    assert_eq!(set, json!({"max_batch_events": 100, "events_per_second": 500}));
    assert_eq!(
        limits(&["--unset", "max_batch_events", "--set", "requests_burst=0"]).unwrap(),
        limits(&[]).unwrap()
    );
    assert_eq!(limits(&[]).unwrap(), json!({"events_per_second": 500, "requests_burst": 0}));
    for (wrong, told) in [
        (
            &["--set", "max_batch_events=0"][..],
            "max_batch_events is \"0\"; it must be a whole number from 1 to 10000",
        ),
        (&["--set", "max_batch_events=-1"], "from 1 to 10000"),
        (&["--set", "max_batch_events=99999999999999999999"], "from 1 to 10000"),
        (&["--set", "max_batch_events"], "limit=value"),
        (&["--set", "colour=5"], "there is no limit \"colour\""),
        (&["--unset", "colour"], "there is no limit \"colour\""),
        (&["--set", "events_burst=1", "--unset", "events_burst"], "events_burst is changed twice"),
    ] {
        let error = limits(wrong).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{wrong:?}");
        assert!(error.to_string().contains(told), "{wrong:?}: {error}");
    }
    assert_eq!(
        limits(&[]).unwrap(),
        json!({"events_per_second": 500, "requests_burst": 0}),
        "nothing was changed"
    );
}

#[test]
fn what_a_tenant_has_stored_this_month_is_shown() {
    let bench = Bench::default();
    let made = bench.perform(&["provision", "--tenant", "Acme", "--samples"]).unwrap();
    let samples = made["samples"]["events"].as_u64().unwrap();
    let set = &["tenant", "limits", "--tenant", "Acme", "--set", "monthly_events=1000"];
    assert_eq!(bench.perform(set).unwrap()["limits"], json!({"monthly_events": 1000}));
    let usage = || bench.perform(&["tenant", "show", "--tenant", "Acme"]).unwrap()["usage"].clone();
    assert!(samples > 0);
    assert_eq!(usage(), json!({"month": "2026-11", "events": samples}));
    bench.clock.set(mercurio_domain::testing::at("2026-12-01T00:00:00Z"));
    assert_eq!(usage(), json!({"month": "2026-12", "events": 0}));
}

#[test]
fn workspaces_have_names_of_their_own() {
    let bench = Bench::default();
    bench.perform(&["tenant", "create", "--tenant", "Acme"]).unwrap();
    let made = bench
        .perform(&["workspace", "create", "--tenant", "acme", "--workspace", "Staging"])
        .unwrap();
    assert_eq!((&made["name"], &made["tenant_id"]), (&json!("Staging"), &json!("1")));
    let taken = bench
        .perform(&["workspace", "create", "--tenant", "acme", "--workspace", " staging"])
        .unwrap_err();
    assert_eq!(taken.exit(), Exit::NameTaken);
    assert!(taken.to_string().contains("\"staging\""), "{taken}");
    let listed = bench.perform(&["workspace", "list", "--tenant", "acme"]).unwrap();
    assert_eq!(listed, json!({"workspaces": [made]}));
}

#[test]
fn names_that_cannot_be_shown_are_refused_before_anything_is_opened() {
    let bench = Bench::default();
    let long = "n".repeat(256);
    for name in ["", " \u{3000}", "a\u{7}", "a\u{202E}b", "\u{200F}", &long] {
        for line in [
            ["tenant", "create", "--tenant", name, "--json"].as_slice(),
            &["tenant", "show", "--tenant", name],
            &["workspace", "create", "--tenant", "Acme", "--workspace", name],
            &["key", "create", "--tenant", "Acme", "--name", name],
        ] {
            assert_eq!(bench.perform(line).unwrap_err().exit(), Exit::Usage, "{line:?}");
        }
    }
}

#[test]
fn a_key_is_made_listed_rotated_and_revoked() {
    let bench = Bench::default();
    bench.perform(&["provision", "--tenant", "Acme"]).unwrap();
    let line = [
        "key",
        "create",
        "--tenant",
        "Acme",
        "--name",
        "CI",
        "--scopes",
        "events:write",
        "--expires-in",
        "90d",
    ];
    let made = bench.perform(&line).unwrap();
    let presented = PresentedKey::parse(made["key"].as_str().unwrap()).unwrap();
    assert_eq!(
        (made["id"].as_str(), &made["status"]),
        (Some(presented.id().as_str()), &json!("active"))
    );
    assert_eq!(made["expires_at"], "2027-02-20T10:00:00.123456Z");
    assert_eq!((&made["name"], &made["scopes"]), (&json!("CI"), &json!(["events:write"])));
    let listed = bench.perform(&["key", "list", "--tenant", "Acme"]).unwrap();
    let keys = listed["api_keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    assert!(
        keys.iter().all(|key| key.get("key").is_none() && key["last_used_at"].is_null()),
        "{listed}"
    );

    let id = made["id"].as_str().unwrap();
    let rotated = bench.perform(&["key", "rotate", "--key", id, "--overlap", "7d"]).unwrap();
    assert_eq!(rotated["old"]["expires_at"], "2026-11-29T10:00:00.123456Z");
    assert_eq!(
        (&rotated["old"]["status"], &rotated["new"]["status"]),
        (&json!("active"), &json!("active"))
    );
    assert_eq!(
        (&rotated["new"]["name"], &rotated["new"]["scopes"]),
        (&made["name"], &made["scopes"])
    );
    assert!(rotated["old"].get("key").is_none());
    let new = PresentedKey::parse(rotated["new"]["key"].as_str().unwrap()).unwrap();
    assert!(new.matches(&bench.store.find_api_key(new.id()).unwrap().unwrap().secret_hash));

    let revoked = bench.perform(&["key", "revoke", "--key", id]).unwrap();
    assert_eq!(
        (&revoked["status"], &revoked["revoked_at"]),
        (&json!("revoked"), &json!("2026-11-22T10:00:00.123456Z"))
    );
    assert_eq!(bench.perform(&["key", "revoke", "--key", id]).unwrap(), revoked, "twice is once");
    let error = bench.perform(&["key", "rotate", "--key", id]).unwrap_err();
    assert_eq!((error.exit(), error.to_string().contains("was revoked")), (Exit::Failed, true));
}

#[test]
fn a_key_that_would_be_dead_at_birth_and_a_whole_key_for_an_id_are_refused() {
    let bench = Bench::default();
    let printed = bench.perform(&["provision", "--tenant", "Acme"]).unwrap();
    let whole = printed["api_key"]["key"].as_str().unwrap();
    for line in [
        &["key", "create", "--tenant", "Acme", "--expires-at", "2026-11-22T10:00:00Z"][..],
        &["key", "create", "--tenant", "Acme", "--expires-at", "tomorrow"],
        &["key", "create", "--tenant", "Acme", "--expires-in", "soon"],
        &[
            "key",
            "create",
            "--tenant",
            "Acme",
            "--expires-in",
            "1d",
            "--expires-at",
            "2027-11-22T10:00:00Z",
        ],
        &["key", "revoke", "--key", whole],
        &["key", "rotate", "--key", whole],
        &["key", "revoke"],
    ] {
        let error = bench.perform(line).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{line:?}");
        assert!(!error.to_string().contains(whole), "{error}");
    }
    assert_eq!(
        bench.perform(&["key", "list", "--tenant", "Acme"]).unwrap()["api_keys"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn people_get_a_table_and_programs_get_json() {
    let database = TestDatabase::sqlite();
    let bench =
        Bench { is_terminal: true, ..Bench::with(&[("DATABASE_URL", &database.url_text())]) };
    assert_eq!(bench.run(&["provision", "--tenant", "Acme"]).0, 0);
    let (code, out, _) = bench.run(&["tenant", "list"]);
    let lines: Vec<Vec<_>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((code, lines[0].join(" ")), (0, "id name status created_at".to_owned()));
    assert_eq!(lines[1][..3], ["1", "Acme", "active"]);
    let (_, out, _) = bench.run(&["tenant", "--json", "list"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["tenants"][0]["id"], "1");
}

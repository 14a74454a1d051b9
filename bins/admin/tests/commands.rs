//! The commands as a library: over the store in memory, and over SQLite.

use std::cell::RefCell;
use std::ffi::OsString;
use std::sync::Arc;

use mercurio_admin::cli::{self, Request};
use mercurio_admin::commands::{Outcome, perform};
use mercurio_admin::{AdminError, Exit, Machine, run};
use mercurio_domain::api_key::PresentedKey;
use mercurio_domain::store::{Catalog, EventQuery, Store};
use mercurio_domain::testing::{CountingIds, FixedClock, MemoryStore};
use mercurio_domain::{ApiKeyId, Owner};
use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

/// What tests choose of a machine.
struct Bench {
    store: Arc<MemoryStore>,
    clock: FixedClock,
    ids: CountingIds,
    settings: Vec<(&'static str, String)>,
    seed: RefCell<u8>,
    is_terminal: bool,
}

impl Default for Bench {
    fn default() -> Self {
        let clock = FixedClock::at("2026-11-22T10:00:00.123456Z");
        Self {
            store: Arc::default(),
            clock,
            ids: CountingIds::default(),
            settings: Vec::new(),
            seed: RefCell::new(0),
            is_terminal: false,
        }
    }
}

impl Bench {
    fn with(settings: &[(&'static str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { settings, ..Self::default() }
    }

    fn on_machine<T>(&self, work: impl FnOnce(&Machine<'_>) -> T) -> T {
        let entropy = |bytes: &mut [u8]| {
            let mut seed = self.seed.borrow_mut();
            *seed += 1;
            bytes.fill(*seed);
            Ok(())
        };
        let setting = |name: &str| {
            let found = self.settings.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        work(&Machine {
            clock: &self.clock,
            ids: &self.ids,
            entropy: &entropy,
            setting: &setting,
            stdout_is_terminal: self.is_terminal,
        })
    }

    /// Over the store in memory.
    fn perform(&self, line: &[&str]) -> Result<Value, AdminError> {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let Request::Do { command, .. } = cli::read(&words)? else { panic!("{line:?} is no command") };
        let store: Arc<dyn Store> = Arc::clone(&self.store) as _;
        let done = self.on_machine(|machine| perform(&command, machine, |_| Ok(store)))?;
        Ok(value(&done.result))
    }

    /// Over the database in the settings: exit code, stdout, stderr.
    fn run(&self, line: &[&str]) -> (u8, String, String) {
        let words = line.iter().map(OsString::from).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = self.on_machine(|machine| run(words, machine, &mut out, &mut err));
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (exit.code(), text(out), text(err))
    }
}

fn value(outcome: &Outcome) -> Value {
    serde_json::to_value(outcome).expect("JSON")
}

fn owner_of(printed: &Value) -> Owner {
    let id = |member: &str| printed[member]["id"].as_str().expect("an id").to_owned();
    Owner {
        tenant_id: id("tenant").parse().expect("a number"),
        workspace_id: id("workspace").parse().expect("a number"),
    }
}

#[track_caller]
fn check_key(store: &dyn Store, printed: &Value) {
    let presented = PresentedKey::parse(printed["api_key"]["key"].as_str().expect("a key")).expect("a sound key");
    let id = printed["api_key"]["id"].as_str().expect("an id");
    assert_eq!(presented.id().as_str(), id);
    let stored = store.find_api_key(&ApiKeyId::new(id)).expect("an answer").expect("the key");
    assert!(presented.matches(&stored.secret_hash));
    assert_eq!(stored.owner, owner_of(printed));
}

#[test]
fn provision_prints_what_the_contract_says() {
    let bench = Bench::default();
    let mut printed = bench.perform(&["provision", "--tenant", "Acme", "--workspace", "Production"]).unwrap();
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
    let line = ["provision", "--tenant", "Acme", "--key-name", "CI", "--scopes", "events:read", "--samples"];
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
    let bench = Bench::with(&[("DATABASE_URL", "mysql://u:hunter2@h/d"), ("SEED_WORKSPACE_NAME", " ")]);
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
    assert_eq!((code, printed), (0, json!({"backend": "sqlite", "applied": [], "state": "current"})));
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
fn tenants_are_made_shown_suspended_and_resumed() {
    let bench = Bench::default();
    let made = bench.perform(&["tenant", "create", "--tenant", " Acme "]).unwrap();
    let expected = json!({
        "id": "1", "name": "Acme", "status": "active", "created_at": "2026-11-22T10:00:00.123456Z", "limits": {},
    });
    assert_eq!(made, expected);
    let taken = bench.perform(&["tenant", "create", "--tenant", "aCME"]).unwrap_err();
    assert_eq!(taken.exit(), Exit::NameTaken);
    for (command, status) in [("suspend", "suspended"), ("suspend", "suspended"), ("resume", "active")] {
        for tenant in ["acme", "id:1"] {
            let shown = bench.perform(&["tenant", command, "--tenant", tenant]).unwrap();
            assert_eq!(shown["status"], status, "{command}");
            assert_eq!(bench.perform(&["tenant", "show", "--tenant", tenant]).unwrap(), shown);
        }
    }
    bench.perform(&["tenant", "create", "--tenant", "Other"]).unwrap();
    let listed = bench.perform(&["tenant", "list"]).unwrap();
    let names: Vec<_> = listed["tenants"].as_array().unwrap().iter().map(|tenant| &tenant["name"]).collect();
    assert_eq!(names, ["Acme", "Other"]);
}

#[test]
fn a_list_of_tenants_has_them_all() {
    let bench = Bench::default();
    for number in 0..2_001 {
        let name = mercurio_domain::tenant::Name::from_store(format!("T{number}"));
        bench.store.create_tenant(&name, mercurio_domain::testing::at("2026-11-22T10:00:00Z")).unwrap();
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
        (&["tenant", "limits", "--tenant", "id:-1", "--set", "max_batch_events=5"], "no tenant \"id:-1\""),
        (&["workspace", "list", "--tenant", "Nobody"], "no tenant \"Nobody\""),
        (&["workspace", "create", "--tenant", "Nobody", "--workspace", "W"], "no tenant \"Nobody\""),
        (&["key", "list", "--tenant", "Nobody"], "no tenant \"Nobody\""),
        (&["key", "create", "--tenant", "Acme", "--workspace", "Staging"], "no workspace \"Staging\""),
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
    assert_eq!(limits(&["--unset", "max_batch_events", "--set", "requests_burst=0"]).unwrap(), limits(&[]).unwrap());
    assert_eq!(limits(&[]).unwrap(), json!({"events_per_second": 500, "requests_burst": 0}));
    for (wrong, told) in [
        (&["--set", "max_batch_events=0"][..], "max_batch_events is \"0\"; it must be a whole number from 1 to 10000"),
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
    assert_eq!(limits(&[]).unwrap(), json!({"events_per_second": 500, "requests_burst": 0}), "nothing was changed");
}

#[test]
fn workspaces_have_names_of_their_own() {
    let bench = Bench::default();
    bench.perform(&["tenant", "create", "--tenant", "Acme"]).unwrap();
    let made = bench.perform(&["workspace", "create", "--tenant", "acme", "--workspace", "Staging"]).unwrap();
    assert_eq!((&made["name"], &made["tenant_id"]), (&json!("Staging"), &json!("1")));
    let taken = bench.perform(&["workspace", "create", "--tenant", "acme", "--workspace", " staging"]).unwrap_err();
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
    let line = ["key", "create", "--tenant", "Acme", "--name", "CI", "--scopes", "events:write", "--expires-in", "90d"];
    let made = bench.perform(&line).unwrap();
    let presented = PresentedKey::parse(made["key"].as_str().unwrap()).unwrap();
    assert_eq!((made["id"].as_str(), &made["status"]), (Some(presented.id().as_str()), &json!("active")));
    assert_eq!(made["expires_at"], "2027-02-20T10:00:00.123456Z");
    assert_eq!((&made["name"], &made["scopes"]), (&json!("CI"), &json!(["events:write"])));
    let listed = bench.perform(&["key", "list", "--tenant", "Acme"]).unwrap();
    let keys = listed["api_keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| key.get("key").is_none() && key["last_used_at"].is_null()), "{listed}");

    let id = made["id"].as_str().unwrap();
    let rotated = bench.perform(&["key", "rotate", "--key", id, "--overlap", "7d"]).unwrap();
    assert_eq!(rotated["old"]["expires_at"], "2026-11-29T10:00:00.123456Z");
    assert_eq!((&rotated["old"]["status"], &rotated["new"]["status"]), (&json!("active"), &json!("active")));
    assert_eq!((&rotated["new"]["name"], &rotated["new"]["scopes"]), (&made["name"], &made["scopes"]));
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
        &["key", "create", "--tenant", "Acme", "--expires-in", "1d", "--expires-at", "2027-11-22T10:00:00Z"],
        &["key", "revoke", "--key", whole],
        &["key", "rotate", "--key", whole],
        &["key", "revoke"],
    ] {
        let error = bench.perform(line).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{line:?}");
        assert!(!error.to_string().contains(whole), "{error}");
    }
    assert_eq!(bench.perform(&["key", "list", "--tenant", "Acme"]).unwrap()["api_keys"].as_array().unwrap().len(), 1);
}

#[test]
fn people_get_a_table_and_programs_get_json() {
    let database = TestDatabase::sqlite();
    let bench = Bench { is_terminal: true, ..Bench::with(&[("DATABASE_URL", &database.url_text())]) };
    assert_eq!(bench.run(&["provision", "--tenant", "Acme"]).0, 0);
    let (code, out, _) = bench.run(&["tenant", "list"]);
    let lines: Vec<Vec<_>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((code, lines[0].join(" ")), (0, "id name status created_at".to_owned()));
    assert_eq!(lines[1][..3], ["1", "Acme", "active"]);
    let (_, out, _) = bench.run(&["tenant", "--json", "list"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["tenants"][0]["id"], "1");
}

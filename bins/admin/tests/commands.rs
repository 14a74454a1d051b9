//! The commands as a library: over the store in memory, and over SQLite.

use std::cell::RefCell;
use std::ffi::OsString;
use std::sync::Arc;

use mercurio_admin::cli::{self, Request};
use mercurio_admin::commands::{Outcome, perform};
use mercurio_admin::{AdminError, Exit, Machine, run};
use mercurio_domain::api_key::PresentedKey;
use mercurio_domain::store::{EventQuery, Store};
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
}

impl Default for Bench {
    fn default() -> Self {
        let clock = FixedClock::at("2026-11-22T10:00:00.123456Z");
        Self { store: Arc::default(), clock, ids: CountingIds::default(), settings: Vec::new(), seed: RefCell::new(0) }
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
        work(&Machine { clock: &self.clock, ids: &self.ids, entropy: &entropy, setting: &setting })
    }

    /// Over the store in memory.
    fn perform(&self, line: &[&str]) -> Result<Value, AdminError> {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let Request::Do(command) = cli::read(&words)? else { panic!("{line:?} is no command") };
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

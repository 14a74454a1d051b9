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
    answer: Option<&'static str>,
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
            answer: None,
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
            sleep: &|_| (),
            ask: &|_| self.answer.map(str::to_owned),
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

/// A tenant with samples, in SQLite: the settings that lead to it and the folder that must outlive it.
fn with_samples() -> (Bench, TestDatabase, u64) {
    let database = TestDatabase::sqlite();
    let bench = Bench { settings: vec![("DATABASE_URL", database.url_text())], ..Bench::default() };
    let (code, out, err) = bench.run(&["provision", "--tenant", "Acme", "--samples"]);
    assert_eq!(code, 0, "{err}");
    let printed: Value = serde_json::from_str(&out).expect("JSON");
    (bench, database, printed["samples"]["events"].as_u64().expect("a number"))
}

fn json_of((code, out, err): &(u8, String, String)) -> Value {
    assert_eq!(*code, 0, "{err}");
    serde_json::from_str(out).expect("JSON")
}

#[test]
fn events_are_counted_listed_and_exported() {
    let (bench, _database, samples) = with_samples();
    assert!(samples >= 3);
    let counted = json_of(&bench.run(&["events", "count", "--tenant", "acme"]));
    assert_eq!((&counted["events"], &counted["workspaces"][0]["events"]), (&json!(samples), &json!(samples)));
    let listed = json_of(&bench.run(&["events", "list", "--tenant", "acme", "--limit", "2"]));
    assert_eq!(listed["events"].as_array().unwrap().len(), 2);
    let (code, out, err) = bench.run(&["events", "export", "--tenant", "acme"]);
    assert_eq!((code, err), (0, format!("mercurio-admin: {samples} events\n")));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, samples);
    assert_eq!(lines[..2], listed["events"].as_array().unwrap()[..]);
    let (_, out, _) = bench.run(&["events", "export", "--tenant", "acme", "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(out.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let members: Vec<String> = lines[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, members);
    for (record, line) in reader.records().zip(&lines) {
        for (cell, member) in record.unwrap().iter().zip(line.as_object().unwrap().values()) {
            match member {
                Value::Null => assert_eq!(cell, ""),
                Value::String(text) => assert_eq!(cell, text),
                other => assert_eq!(&serde_json::from_str::<Value>(cell).unwrap(), other),
            }
        }
    }
    let (code, _, err) = bench.run(&["events", "count", "--tenant", "acme", "--workspace", "nowhere"]);
    assert_eq!(code, 4, "{err}");
    let (code, _, err) = bench.run(&["events", "export", "--tenant", "acme", "--format", "xml", "--from", "yesterday"]);
    assert_eq!((code, err.lines().count()), (64, 2), "{err}");
}

/// Takes so many bytes, and then is gone.
struct ClosedPipe(usize);

impl std::io::Write for ClosedPipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_export_into_a_closed_pipe_ends_and_says_so() {
    let (bench, _database, _) = with_samples();
    let mut err = Vec::new();
    let words = ["events", "export", "--tenant", "acme"].map(OsString::from).into();
    let exit = bench.on_machine(|machine| run(words, machine, &mut ClosedPipe(100), &mut err));
    assert_eq!(exit, Exit::Failed);
    let err = String::from_utf8(err).unwrap();
    assert!(err.contains("the export ended after") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_persons_events_are_erased_once_somebody_said_yes() {
    let (mut bench, _database, samples) = with_samples();
    let listed = json_of(&bench.run(&["events", "list", "--tenant", "acme", "--limit", "1000"]));
    let events = listed["events"].as_array().unwrap();
    let user = events.iter().find_map(|event| event["user_id"].as_str()).unwrap();
    let of_user = events.iter().filter(|event| event["user_id"] == user).count() as u64;
    let line = ["events", "erase", "--tenant", "acme", "--user-id", user];
    assert_eq!(bench.run(&line).0, 64, "nobody to ask");
    bench.answer = Some("no\n");
    let (code, out, err) = bench.run(&line);
    assert_eq!((code, &*out), (1, ""), "{err}");
    bench.answer = Some("Yes\n");
    let receipt = json_of(&bench.run(&line));
    assert_eq!((&receipt["removed"]["events"], &receipt["erased_by"]), (&json!(of_user), &json!("user_id")));
    assert!(!receipt.to_string().contains(user), "{receipt}");
    let counted = json_of(&bench.run(&["events", "count", "--tenant", "acme"]));
    assert_eq!(counted["events"], json!(samples - of_user));
    let again = json_of(&bench.run(&[&line[..], &["--yes"]].concat()));
    assert_eq!(again["removed"]["events"], 0);
    for line in [&["events", "erase", "--tenant", "acme"][..], &[&line[..], &["--anonymous-id", "a"]].concat()] {
        assert_eq!(bench.run(line).0, 64, "{line:?}");
    }
}

#[test]
fn a_tenant_is_deleted_with_everything_and_its_name_is_free_again() {
    let (mut bench, database, samples) = with_samples();
    bench.run(&["provision", "--tenant", "Other", "--samples"]);
    bench.answer = Some("Acne\n");
    assert_eq!(bench.run(&["tenant", "delete", "--tenant", "acme"]).0, 1);
    bench.answer = Some("acme\n");
    // As if a first try had been cut off after its first step.
    let tenant_id = json_of(&bench.run(&["tenant", "show", "--tenant", "acme"]))["id"].as_str().unwrap().to_owned();
    let store = database.store();
    store.begin_deletion(tenant_id.parse().unwrap(), mercurio_domain::testing::at("2026-11-22T09:00:00Z")).unwrap();
    assert_eq!(json_of(&bench.run(&["tenant", "show", "--tenant", "acme"]))["status"], "deleting");
    let (code, out, err) = bench.run(&["tenant", "delete", "--tenant", "acme"]);
    let receipt = json_of(&(code, out, err.clone()));
    let removed = json!({"events": samples, "event_keys": samples, "workspaces": 1, "api_keys": 1});
    assert_eq!(receipt["removed"], removed);
    assert_eq!(receipt["deleted_at"], "2026-11-22T09:00:00.000000Z");
    assert!(err.contains("begun before"), "{err}");
    assert_eq!(bench.run(&["tenant", "delete", "--tenant", "acme", "--yes"]).0, 4);
    assert_eq!(bench.run(&["provision", "--tenant", "ACME"]).0, 0);
    assert_eq!(json_of(&bench.run(&["events", "count", "--tenant", "other"]))["events"], json!(samples));
    assert_eq!(json_of(&bench.run(&["events", "count", "--tenant", "acme"]))["events"], 0);
}

#[test]
fn the_schema_goes_up_and_down_a_migration_at_a_time() {
    for database in [TestDatabase::empty_sqlite(), TestDatabase::empty_postgres()] {
        let bench = Bench { settings: vec![("DATABASE_URL", database.url_text())], ..Bench::default() };
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

/// Every command line that has a help text.
fn commands_with_help() -> Vec<Vec<&'static str>> {
    let with = |first: &'static str, others: &[&'static str]| {
        let of = others.iter().map(|other| vec![first, *other]).collect::<Vec<_>>();
        [vec![vec![first]], of].concat()
    };
    [
        vec![vec![]],
        with("migrate", &["up", "status", "down"]),
        with("provision", &[]),
        with("seed", &[]),
        with("completions", &[]),
        with("tenant", &["create", "list", "show", "suspend", "resume", "delete", "limits"]),
        with("workspace", &["create", "list"]),
        with("key", &["create", "list", "rotate", "revoke"]),
        with("events", &["count", "list", "export", "erase", "purge"]),
    ]
    .concat()
}

/// With MERCURIO_TEST_WRITE_HELP set the files are written anew: read their diff before you commit them.
#[test]
fn every_help_text_is_as_it_was_read_last() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    let write = std::env::var_os("MERCURIO_TEST_WRITE_HELP").is_some();
    let mut files = Vec::new();
    for words in commands_with_help() {
        let (code, text, err) = Bench::default().run(&[&words[..], &["--help"]].concat());
        assert_eq!((code, &*err), (0, ""), "{words:?}");
        let name = format!("{}.txt", [&["mercurio-admin"], &words[..]].concat().join(" "));
        if write {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(&name), &text).unwrap();
        }
        let known = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert_eq!(text, known, "{name}");
        // A command that is there and not in the list above would have no snapshot.
        let listed = text.split_once("Commands:").map(|(_, commands)| commands).unwrap_or_default();
        let listed = listed.lines().skip(1).take_while(|line| !line.is_empty());
        for command in listed.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
            let command = command.split_whitespace().next().unwrap();
            let known = commands_with_help().iter().any(|known| known[..] == [&words[..], &[command]].concat()[..]);
            assert!(known, "{words:?} {command} has no snapshot");
        }
        files.push(name);
    }
    for file in std::fs::read_dir(&folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(files.contains(&name), "{name} is of no command");
    }
}

#[test]
fn old_events_are_purged_of_a_tenant_or_of_all() {
    let (mut bench, _database, samples) = with_samples();
    bench.run(&["provision", "--tenant", "Other", "--samples"]);
    bench.clock = FixedClock::at("2027-02-01T12:00:00Z");
    assert_eq!(bench.run(&["events", "purge", "--older-than", "90d", "--yes"]).0, 0);
    assert_eq!(json_of(&bench.run(&["events", "count", "--tenant", "acme"]))["events"], json!(samples), "not so old");
    assert_eq!(bench.run(&["events", "purge", "--older-than", "30d"]).0, 64, "nobody to ask");
    let purged = json_of(&bench.run(&["events", "purge", "--tenant", "acme", "--older-than", "60d", "--yes"]));
    assert_eq!(purged["removed"], json!({"events": samples, "event_keys": 0}));
    assert_eq!(json_of(&bench.run(&["events", "count", "--tenant", "other"]))["events"], json!(samples));
    let purged = json_of(&bench.run(&["events", "purge", "--older-than", "1d", "--yes"]));
    assert_eq!(purged["received_before"], "2027-01-31T00:00:00.000000Z");
    assert_eq!(purged["removed"], json!({"events": samples, "event_keys": 2 * samples}));
    for (line, mistakes) in [(&["events", "purge"][..], 1), (&["events", "purge", "--older-than", "old"], 1)] {
        let (code, _, err) = bench.run(line);
        assert_eq!((code, err.lines().count()), (64, mistakes), "{err}");
    }
}

#[test]
fn bash_completes_commands_of_one_name_each_with_its_own_options() {
    let (code, script, err) = Bench::default().run(&["completions", "bash"]);
    assert_eq!((code, &*err), (0, ""));
    let complete = |line: &[&str]| -> Vec<String> {
        let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
        let ask = format!(
            "{script}\nCOMP_WORDS=(mercurio-admin {}); COMP_CWORD={}; _mercurio_admin; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            line.len()
        );
        let output = std::process::Command::new("bash").args(["-c", &ask]).output().expect("bash is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    };
    assert_eq!(complete(&["ev"]), ["events"]);
    assert_eq!(complete(&["key", ""])[..4], ["create", "list", "rotate", "revoke"]);
    assert_eq!(complete(&["tenant", "li"]), ["list", "limits"]);
    assert_eq!(complete(&["events", "export", "--f"]), ["--format", "--from"]);
    assert!(complete(&["key", "create", "--"]).contains(&"--scopes".to_owned()));
    assert!(!complete(&["tenant", "create", "--"]).contains(&"--scopes".to_owned()));
    assert!(complete(&["tenant", "show", "--tenant", "key", "--"]).contains(&"--tenant".to_owned()));
    for shell in ["zsh", "fish"] {
        assert!(Bench::default().run(&["completions", shell]).1.contains("rotate"), "{shell}");
    }
    assert_eq!(Bench::default().run(&["completions", "tcsh"]).0, 64);
}

//! A machine of which the tests choose time, ids, randomness, settings and answers.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::sync::Arc;

use mercurio_admin::cli::{self, Request};
use mercurio_admin::commands::{Outcome, perform};
use mercurio_admin::{AdminError, Machine, run};
use mercurio_domain::api_key::PresentedKey;
use mercurio_domain::store::Store;
use mercurio_domain::testing::{CountingIds, FixedClock, MemoryStore};
use mercurio_domain::{ApiKeyId, Owner};
use serde_json::Value;

/// What tests choose of a machine.
pub(crate) struct Bench {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: FixedClock,
    pub(crate) ids: CountingIds,
    pub(crate) settings: Vec<(&'static str, String)>,
    pub(crate) seed: RefCell<u8>,
    pub(crate) is_terminal: bool,
    pub(crate) answer: Option<&'static str>,
    /// Steps after which somebody presses Ctrl-C.
    pub(crate) steps_left: Cell<Option<u32>>,
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
            steps_left: Cell::new(None),
        }
    }
}

impl Bench {
    pub(crate) fn with(settings: &[(&'static str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { settings, ..Self::default() }
    }

    pub(crate) fn on_machine<T>(&self, work: impl FnOnce(&Machine<'_>) -> T) -> T {
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
            names: &|| self.settings.iter().map(|(name, _)| (*name).to_owned()).collect(),
            sleep: &|_| (),
            tell: &|_| (),
            interrupted: &|| {
                self.steps_left.get().is_some_and(|left| {
                    self.steps_left.set(Some(left.saturating_sub(1)));
                    left == 0
                })
            },
            ask: &|_| self.answer.map(str::to_owned),
            stdout_is_terminal: self.is_terminal,
        })
    }

    /// Over the store in memory.
    pub(crate) fn perform(&self, line: &[&str]) -> Result<Value, AdminError> {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let Request::Do { command, .. } = cli::read(&words)? else {
            panic!("{line:?} is no command")
        };
        let store: Arc<dyn Store> = Arc::clone(&self.store) as _;
        let done = self.on_machine(|machine| perform(&command, machine, |_| Ok(store)))?;
        Ok(value(&done.result))
    }

    /// Over the database in the settings: exit code, stdout, stderr.
    pub(crate) fn run(&self, line: &[&str]) -> (u8, String, String) {
        let words = line.iter().map(OsString::from).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = self.on_machine(|machine| run(words, machine, &mut out, &mut err));
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (exit.code(), text(out), text(err))
    }
}

pub(crate) fn value(outcome: &Outcome) -> Value {
    serde_json::to_value(outcome).expect("JSON")
}

pub(crate) fn owner_of(printed: &Value) -> Owner {
    let id = |member: &str| printed[member]["id"].as_str().expect("an id").to_owned();
    Owner {
        tenant_id: id("tenant").parse().expect("a number"),
        workspace_id: id("workspace").parse().expect("a number"),
    }
}

#[track_caller]
pub(crate) fn check_key(store: &dyn Store, printed: &Value) {
    let presented = PresentedKey::parse(printed["api_key"]["key"].as_str().expect("a key"))
        .expect("a sound key");
    let id = printed["api_key"]["id"].as_str().expect("an id");
    assert_eq!(presented.id().as_str(), id);
    let stored = store.find_api_key(&ApiKeyId::new(id)).expect("an answer").expect("the key");
    assert!(presented.matches(&stored.secret_hash));
    assert_eq!(stored.owner, owner_of(printed));
}

/// What a run printed that succeeded.
pub(crate) fn json_of((code, out, err): &(u8, String, String)) -> Value {
    assert_eq!(*code, 0, "{err}");
    serde_json::from_str(out).expect("JSON")
}

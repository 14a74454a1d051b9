//! A [`Machine`] with the clock, ids, random bytes, settings and answers of the test.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use mercurio_admin::cli::{self, Request};
use mercurio_admin::commands::perform;
use mercurio_admin::output::{Output, Style};
use mercurio_admin::terminal::Terminal;
use mercurio_admin::{AdminError, Machine, run};
use mercurio_domain::api_key::PresentedKey;
use mercurio_domain::store::{EventWriter, Store, Submission};
use mercurio_domain::testing::{CountingIds, FixedClock, MemoryStore};
use mercurio_domain::{ApiKeyId, Owner};
use mercurio_storage::testing::TestDatabase;
use serde_json::Value;

pub(crate) struct TestMachine {
    /// Used by [`TestMachine::perform`]; [`TestMachine::run`] opens the database in `settings`.
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: FixedClock,
    pub(crate) ids: CountingIds,
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Value of all bytes of the last random sequence.
    pub(crate) entropy: Cell<u8>,
    pub(crate) is_terminal: bool,
    /// Answer to every question; `None`: no terminal.
    pub(crate) answer: Option<&'static str>,
    /// Standard input.
    pub(crate) input: Vec<u8>,
    pub(crate) questions: RefCell<Vec<String>>,
    /// Messages during commands.
    pub(crate) notices: RefCell<Vec<String>>,
    /// A request in flight, stored while a command waits.
    pub(crate) late: Cell<Option<Submission>>,
    /// Steps before SIGINT arrives; `None`: never.
    pub(crate) steps_left: Cell<Option<u32>>,
    /// Steps before the store in memory becomes unavailable; `None`: never.
    pub(crate) steps_to_outage: Cell<Option<u32>>,
}

impl Default for TestMachine {
    fn default() -> Self {
        Self {
            store: Arc::default(),
            clock: FixedClock::at("2026-11-22T10:00:00.123456Z"),
            ids: CountingIds::default(),
            settings: Vec::new(),
            entropy: Cell::new(0),
            is_terminal: false,
            answer: None,
            input: Vec::new(),
            questions: RefCell::default(),
            notices: RefCell::default(),
            late: Cell::new(None),
            steps_left: Cell::new(None),
            steps_to_outage: Cell::new(None),
        }
    }
}

/// Output of a run.
pub(crate) struct RunOutput {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl RunOutput {
    /// Parses stdout after a successful run.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).expect("JSON")
    }

    /// The messages on stderr, without the usage behind them.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &str> {
        self.err.lines().filter_map(|line| line.strip_prefix("mercurio-admin: "))
    }
}

impl TestMachine {
    pub(crate) fn with(settings: &[(&'static str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { settings, ..Self::default() }
    }

    /// Connected to `database`, which must outlive the machine.
    pub(crate) fn on(database: &TestDatabase) -> Self {
        Self::with(&[("DATABASE_URL", &database.url_text())])
    }

    pub(crate) fn with_machine<T>(&self, work: impl FnOnce(&Machine<'_>) -> T) -> T {
        work(&Machine {
            clock: &self.clock,
            ids: &self.ids,
            entropy: &|bytes| {
                self.entropy.set(self.entropy.get() + 1);
                // Keys differ within a test, and are the same in every run.
                bytes.fill(self.entropy.get());
                Ok(())
            },
            setting: &|name| self.setting(name),
            user: "alice@db1",
            setting_names: &|| self.settings.iter().map(|(name, _)| (*name).to_owned()).collect(),
            // The grace period of a deletion passes at once.
            sleep: &|_| {
                if let Some(late) = self.late.take() {
                    self.store.append(&[late]).expect("stored");
                }
            },
            notify: &|message| self.notices.borrow_mut().push(message.to_owned()),
            stdin_is_terminal: self.answer.is_some(),
            stdin: &|| Box::new(io::Cursor::new(self.input.clone())),
            interrupted: &|| {
                if take_step(&self.steps_to_outage) {
                    self.store.set_unavailable(true);
                }
                take_step(&self.steps_left)
            },
            ask: &|question| {
                self.questions.borrow_mut().push(question.to_owned());
                self.answer.map(str::to_owned)
            },
            terminal: self.is_terminal.then_some(Terminal { width: 80, colours: false }),
            stdout_is_lost: false,
        })
    }

    fn setting(&self, name: &str) -> Option<String> {
        let setting = self.settings.iter().find(|(known, _)| *known == name);
        setting.map(|(_, value)| value.clone())
    }

    /// Runs a command, split at spaces, over the store in memory. Returns its result.
    pub(crate) fn perform(&self, line: &str) -> Result<Value, AdminError> {
        self.perform_args(&split(line))
    }

    pub(crate) fn perform_args(&self, args: &[&str]) -> Result<Value, AdminError> {
        let arguments: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let Request::Run { command, .. } = cli::parse(&arguments)? else {
            panic!("{args:?} is no command")
        };
        // In place of the database in the settings.
        let store: Arc<dyn Store> = Arc::clone(&self.store) as _;
        let mut out = Vec::new();
        let mut output = Output { writer: &mut out, style: Style::default(), terminal: None };
        let report = self.with_machine(|machine| {
            perform(
                &command,
                machine,
                |_, access| {
                    self.store.set_actor(access.actor);
                    Ok(store)
                },
                &mut output,
            )
        })?;
        // A command that makes a key prints its result itself.
        Ok(report.result.unwrap_or_else(|| serde_json::from_slice(&out).expect("a result")))
    }

    /// Runs a command, split at spaces, over the database in the settings.
    pub(crate) fn run(&self, line: &str) -> RunOutput {
        self.run_args(&split(line))
    }

    pub(crate) fn run_args(&self, args: &[&str]) -> RunOutput {
        let arguments = args.iter().map(OsString::from).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        // Like `main`, with buffers in place of stdout and stderr.
        let exit = self.with_machine(|machine| run(arguments, machine, &mut out, &mut err));
        RunOutput {
            code: exit.code(),
            out: String::from_utf8(out).expect("UTF-8"),
            err: String::from_utf8(err).expect("UTF-8"),
        }
    }

    /// Runs a command that succeeds, and returns its result.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        self.run(line).json()
    }
}

/// Counts one step, and returns whether all have passed.
fn take_step(steps: &Cell<Option<u32>>) -> bool {
    let Some(left) = steps.get() else { return false };
    steps.set(Some(left.saturating_sub(1)));
    left == 0
}

fn split(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Owner of a provisioned workspace.
pub(crate) fn owner_of(printed: &Value) -> Owner {
    let id = |member: &str| printed[member]["id"].as_str().expect("an id").to_owned();
    Owner {
        tenant_id: id("tenant").parse().expect("a number"),
        workspace_id: id("workspace").parse().expect("a number"),
    }
}

/// Asserts that the printed key authenticates for the printed workspace.
#[track_caller]
pub(crate) fn check_key(store: &dyn Store, printed: &Value) {
    let key = printed["api_key"]["key"].as_str().expect("a key");
    let presented = PresentedKey::parse(key).expect("a well-formed key");
    let id = printed["api_key"]["id"].as_str().expect("an id");
    assert_eq!(presented.id().as_str(), id);
    let stored = store.find_api_key(&ApiKeyId::new(id)).expect("an answer").expect("the key");
    assert!(presented.matches(&stored.secret_hash));
    assert_eq!(stored.owner, owner_of(printed));
}

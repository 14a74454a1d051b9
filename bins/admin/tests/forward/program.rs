//! The program, and databases with a tenant.

use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mercurio_domain::store::Store;
use mercurio_domain::testing::{at, provisioning, submission};
use mercurio_domain::{Owner, Timestamp};
use mercurio_storage::testing::TestDatabase;
use serde_json::Value;

/// Groups stored by this process. Each has a time of its own.
static GROUPS: AtomicI64 = AtomicI64::new(0);

/// A valid secret.
pub(crate) const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A database with the tenant `Acme` and its workspace `Default`.
pub(crate) struct Workspace {
    pub(crate) database: TestDatabase,
    pub(crate) owner: Owner,
}

impl Workspace {
    pub(crate) fn on_both() -> [Self; 2] {
        [TestDatabase::sqlite(), TestDatabase::postgres()].map(Self::on)
    }

    fn on(database: TestDatabase) -> Self {
        let provisioned = database.store().provision(&provisioning("Acme", 1, now()).0);
        let owner = provisioned.expect("created").api_key.owner;
        Self { database, owner }
    }

    pub(crate) fn append(&self, ids: &[&str]) {
        append(&self.database.store(), self.owner, ids);
    }

    /// `events forward` to `url`, with further arguments.
    pub(crate) fn forward(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mercurio-admin"));
        command.args(["events", "forward", "--tenant", "Acme", "--to", url]).args(arguments);
        command.env_clear().env("DATABASE_URL", self.database.url_text());
        command.env("MERCURIO_WEBHOOK_SECRET", SECRET);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Forwards what is there, and returns the result.
    #[track_caller]
    pub(crate) fn forward_once(&self, url: &str, arguments: &[&str]) -> Value {
        let output = self.forward(url, arguments).arg("--once").output().expect("the program runs");
        result_of(&output)
    }
}

pub(crate) fn append(store: &Arc<dyn Store>, owner: Owner, ids: &[&str]) {
    // Thousands of events at the same microsecond would be slow to look up, and no client has them.
    let micros = now().as_micros() + GROUPS.fetch_add(1, Ordering::Relaxed);
    let submission = submission(owner, Timestamp::from_micros_clamped(micros), ids);
    store.append(&[submission]).expect("stored");
}

fn now() -> Timestamp {
    at("2026-11-29T10:00:00Z")
}

/// Parses stdout after exit code 0.
#[track_caller]
pub(crate) fn result_of(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", stderr_of(output));
    serde_json::from_slice(&output.stdout).expect("one JSON value on stdout")
}

pub(crate) fn stderr_of(output: &Output) -> String {
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!err.contains("panicked") && !err.contains(SECRET), "{err}");
    err
}

/// Sends SIGTERM, and waits for the end.
pub(crate) fn terminate(child: Child) -> Output {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
    assert!(sent.success());
    child.wait_with_output().expect("the program ends")
}

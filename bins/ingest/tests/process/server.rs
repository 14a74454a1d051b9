//! A server process, and a database to start it on.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use mercurio_domain::Owner;
use mercurio_domain::testing::{at, provisioning};
use mercurio_history::{History, Report};
use mercurio_storage::testing::{TestDatabase, wait_for};
use serde_json::Value;

use crate::sender::{self, Sender};

/// Longer than any start or log line takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, without settings from the test's environment.
pub(crate) fn command(database_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mercurio-ingest"));
    set_up(&mut command, database_url);
    command.env("MERCURIO_LOG_FORMAT", "json");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Replaces the settings of the test's environment. A developer's own must not change a test.
pub(crate) fn set_up(command: &mut Command, database_url: &str) {
    for (name, _) in std::env::vars() {
        if name.starts_with("MERCURIO_") {
            command.env_remove(name);
        }
    }
    command
        .env("DATABASE_URL", database_url)
        // Port 0: the system chooses a free one, and the log shows it.
        .env("MERCURIO_ADDR", "127.0.0.1:0");
}

/// Runs the binary until it ends by itself. Returns the exit code and stderr.
pub(crate) fn end(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

/// Finds a free port below the system's range for outgoing connections.
pub(crate) fn free_port() -> u16 {
    // Processes that run at once start at different ports.
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..first + 1_000).find(is_free).expect("a free port")
}

/// A listening server. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    listening: Mutex<Receiver<SocketAddr>>,
    /// Lines of stdout so far.
    stdout: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    stderr: Option<JoinHandle<String>>,
}

impl Server {
    pub(crate) fn start(database_url: &str) -> Self {
        Self::with(&mut command(database_url))
    }

    /// Starts a server and waits until it listens.
    pub(crate) fn with(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = Arc::new(Mutex::new(Vec::new()));
        let (lines, listening) = channel();
        let (out, kept) = (child.stdout.take().unwrap(), Arc::clone(&stdout));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(addr) = listening_addr(&line) {
                    lines.send(addr).ok();
                }
                kept.lock().unwrap().push(line);
            }
        });
        let mut err = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).ok();
            text
        });
        let addr = listening_address(&listening);
        Self {
            child,
            addr,
            listening: Mutex::new(listening),
            stdout,
            reader: Some(reader),
            stderr: Some(stderr),
        }
    }

    /// Waits for the management address.
    pub(crate) fn second_addr(&self) -> SocketAddr {
        listening_address(&self.listening.lock().unwrap())
    }

    /// Waits for a log line with this message, and returns the last one. Fails without one.
    #[track_caller]
    pub(crate) fn line(&self, message: &str) -> Value {
        self.line_where(|line| line["msg"] == message)
    }

    /// Waits for a log line that matches, and returns the last one. Fails without one.
    #[track_caller]
    pub(crate) fn line_where(&self, matches: impl Fn(&Value) -> bool) -> Value {
        let log = || self.stdout.lock().unwrap().clone();
        wait_for("a log line", || self.matching(&matches).pop().ok_or_else(log))
    }

    /// Log lines with this message so far.
    pub(crate) fn lines(&self, message: &str) -> Vec<Value> {
        self.matching(|line| line["msg"] == message)
    }

    /// Log lines that match so far.
    pub(crate) fn matching(&self, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
        let stdout = self.stdout.lock().unwrap();
        let lines = stdout.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(matches).collect()
    }

    /// The id of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A size of its memory in bytes, by its name in `/proc/PID/status`.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Ends the server like a power failure.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal, named like for `kill`.
    pub(crate) fn signal(&self, name: &str) {
        // `std` can send only SIGKILL.
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.child.id()))
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the end. Returns the status, the lines of stdout, and stderr.
    pub(crate) fn wait(mut self) -> (ExitStatus, Vec<String>, String) {
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let stderr = self.stderr.take().unwrap().join().unwrap();
        let stdout = std::mem::take(&mut *self.stdout.lock().unwrap());
        (status, stdout, stderr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn listening_addr(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["msg"] == "listening").then(|| line["addr"].as_str()?.parse().ok()).flatten()
}

#[track_caller]
fn listening_address(listening: &Receiver<SocketAddr>) -> SocketAddr {
    listening.recv_timeout(PATIENCE).expect("the server listens")
}

/// A migrated database with a tenant and its key, for one or more servers.
pub(crate) struct Deployment {
    pub(crate) database: TestDatabase,
    pub(crate) key: String,
    pub(crate) owner: Owner,
}

impl Deployment {
    pub(crate) fn sqlite() -> Self {
        Self::on(TestDatabase::sqlite())
    }

    pub(crate) fn postgres() -> Self {
        Self::on(TestDatabase::postgres())
    }

    fn on(database: TestDatabase) -> Self {
        let (request, key) = provisioning("acme", 1, at("2026-11-22T10:00:00Z"));
        let owner = database.store().provision(&request).unwrap().api_key.owner;
        Self { database, key: key.expose().to_owned(), owner }
    }

    /// A client with the tenant's key.
    pub(crate) fn sender(&self) -> Sender {
        Sender::new(&self.key, self.owner)
    }

    /// Asserts that the database holds what the clients were promised.
    #[track_caller]
    pub(crate) fn check(&self, history: &History) -> Report {
        sender::check(history, &self.database.url_text())
    }

    pub(crate) fn start(&self) -> Server {
        Server::start(&self.database.url_text())
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.database.url_text().starts_with("postgres")
    }
}

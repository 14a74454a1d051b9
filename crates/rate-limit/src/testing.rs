//! A Redis server for a test, here and in the crates above.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::RedisUrl;

/// The password of every test server. No log may contain it.
pub const PASSWORD: &str = "not-for-the-log";

/// A real `redis-server` on a socket in a folder of its own. Dropping it kills the server.
pub struct TestRedis {
    folder: TempDir,
    server: Child,
}

impl TestRedis {
    /// Starts a server and waits until it accepts connections.
    ///
    /// # Panics
    /// If `redis-server` is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = TempDir::with_prefix("mercurio-redis-")
            .unwrap_or_else(|error| panic!("no folder: {error}"));
        let server = spawn(&folder);
        Self { folder, server }
    }

    /// Returns the URL, with the password.
    #[must_use]
    pub fn url_text(&self) -> String {
        format!("unix://{}/redis.sock?pass={PASSWORD}", self.folder.path().display())
    }

    /// Returns the URL.
    ///
    /// # Panics
    /// Never, unless the URL of a socket is invalid.
    #[must_use]
    pub fn url(&self) -> RedisUrl {
        RedisUrl::parse(&self.url_text()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Kills the server. It forgets everything.
    pub fn stop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }

    /// Starts the server again, empty, at the same URL.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.stop();
        self.server = spawn(&self.folder);
    }

    /// Makes the server hang: it keeps its connections and answers nothing.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn hang(&self) {
        self.signal("STOP");
    }

    /// Ends [`Self::hang`].
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.server.id();
        // `Child` can send SIGKILL only.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name} to {pid}");
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(folder: &TempDir) -> Child {
    let mut command = Command::new("redis-server");
    // Without a TCP port, tests run in parallel; without snapshots, a restart is empty.
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--requirepass", PASSWORD]);
    command.arg("--dir").arg(folder.path());
    command.arg("--unixsocket").arg(folder.path().join("redis.sock"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = command.spawn().unwrap_or_else(|error| {
        panic!("redis-server does not start: {error}. On Debian: apt-get install redis-server")
    });
    let Some(stdout) = server.stdout.take() else {
        panic!("redis-server has no stdout");
    };
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let ready = lines.any(|line| line.contains("ready to accept connections"));
    assert!(ready, "redis-server ended at its start");
    // The server blocks when its output is not read.
    std::thread::spawn(move || lines.for_each(drop));
    server
}

//! A Mercurio server under supervision: it is started again whenever it ends, like by systemd.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::error::Error;
use crate::journal::Journal;
use crate::process::{free_port, signal};

/// Pause between two looks at the process.
const PERIOD: Duration = Duration::from_millis(20);

/// A server at a fixed address.
pub(crate) struct Server {
    pub(crate) number: usize,
    pub(crate) addr: SocketAddr,
    database_url: String,
    folder: PathBuf,
    faketime: Option<PathBuf>,
    journal: Arc<Journal>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    child: Option<Child>,
    /// Whether this process has ever accepted a connection.
    has_listened: bool,
    /// Whether this program ended it.
    is_ended: bool,
}

/// How the end of a server came about.
enum End {
    /// By a fault.
    Ordered,
    /// At start-up, without a database.
    AtStart(ExitStatus),
    /// By itself.
    Unexpected(ExitStatus),
}

impl Server {
    /// Prepares a server. Its log and its clock are files in `folder`.
    pub(crate) fn new(
        number: usize,
        database_url: &str,
        folder: &Path,
        journal: &Arc<Journal>,
    ) -> Result<Self, Error> {
        let server = Self {
            number,
            addr: ([127, 0, 0, 1], free_port()?).into(),
            database_url: database_url.to_owned(),
            folder: folder.to_owned(),
            faketime: faketime(),
            journal: Arc::clone(journal),
            state: Mutex::default(),
        };
        server.set_clock("+0")?;
        Ok(server)
    }

    /// Starts the process. Does not wait for it.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(binary()?);
        if let Some(library) = &self.faketime {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", self.clock())
                // Seconds between two reads of the file.
                .env("FAKETIME_CACHE_DURATION", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MERCURIO_")) {
            command.env_remove(name);
        }
        let child = command
            .env("DATABASE_URL", &self.database_url)
            .env("MERCURIO_ADDR", self.addr.to_string())
            .env("MERCURIO_LOG_FORMAT", "json")
            .env("MERCURIO_LOG_LEVEL", "warning")
            .env("MERCURIO_SHUTDOWN_DELAY_SECONDS", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut state = self.state();
        *state = State { child: Some(child), ..State::default() };
        Ok(())
    }

    /// Ends the server like a power failure.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.is_ended = true;
        if let Some(child) = &mut state.child {
            // Both fail only if it has ended already.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Stops the server in order, and returns its status. `None` if it hangs for a minute.
    pub(crate) fn stop(&self) -> Option<ExitStatus> {
        self.state().is_ended = true;
        self.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Some(status) = self.status() {
                return Some(status);
            }
            std::thread::sleep(PERIOD);
        }
        self.kill();
        None
    }

    pub(crate) fn signal(&self, which: Signal) {
        if let Some(child) = &self.state().child {
            signal(child.id(), which);
        }
    }

    /// Moves the server's clock, by an offset like `-2d`. Returns false without libfaketime.
    pub(crate) fn set_clock(&self, offset: &str) -> Result<bool, Error> {
        // Renamed, so that the server never reads an empty file.
        let unfinished = self.clock().with_extension("new");
        fs::write(&unfinished, format!("{offset}\n"))?;
        fs::rename(unfinished, self.clock())?;
        Ok(self.faketime.is_some())
    }

    /// Looks after the process once: starts it again if it has ended by itself.
    fn look(&self) -> Result<(), Error> {
        let Some(end) = self.end() else {
            let has_listened = self.state().has_listened;
            if !has_listened && TcpStream::connect(self.addr).is_ok() {
                self.state().has_listened = true;
            }
            return Ok(());
        };
        match end {
            End::Ordered => return Ok(()),
            // Its log has the reason.
            End::AtStart(status) if status.code().is_some() => {
                std::thread::sleep(Duration::from_millis(200));
            }
            End::AtStart(status) | End::Unexpected(status) => self.journal.violation(format!(
                "server {} ended by itself: {status}; see {}",
                self.number,
                self.log().display()
            )),
        }
        self.start()
    }

    fn end(&self) -> Option<End> {
        let status = self.status()?;
        let state = self.state();
        Some(match (state.is_ended, state.has_listened) {
            (true, _) => End::Ordered,
            (false, false) => End::AtStart(status),
            (false, true) => End::Unexpected(status),
        })
    }

    fn status(&self) -> Option<ExitStatus> {
        self.state().child.as_mut()?.try_wait().ok()?
    }

    /// Looks after the server until `is_over`.
    pub(crate) fn supervise(&self, is_over: impl Fn() -> bool) {
        while !is_over() {
            if let Err(error) = self.look() {
                self.journal.violation(format!("server {}: {error}", self.number));
            }
            std::thread::sleep(PERIOD);
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("server-{}.log", self.number))
    }

    fn clock(&self) -> PathBuf {
        self.folder.join(format!("server-{}.clock", self.number))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server in the folder of this program.
fn binary() -> Result<PathBuf, Error> {
    let path = std::env::current_exe()?.with_file_name("mercurio-ingest");
    if !path.exists() {
        let path = path.display();
        return Err(
            format!("{path} does not exist: build mercurio-ingest in the same profile").into()
        );
    }
    Ok(path)
}

/// The library that moves a process's clock, from the Debian package `libfaketime`.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut files = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    files.find(|file| file.exists())
}

//! A Mercurio server under supervision: it is started again whenever it ends, like by systemd.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::error::Error;
use crate::journal::Journal;
use crate::process::{free_port, signal};

/// Pause between two looks at the process, and before a new start.
const PERIOD: Duration = Duration::from_millis(100);

/// `EX_UNAVAILABLE`: the exit code at start-up without a database.
const NO_DATABASE: i32 = 69;

/// Returns whether a server answers. A connection alone shows nothing: it listens before it opens its
/// database.
fn serves(addr: SocketAddr) -> bool {
    ask(addr).is_ok_and(|status| status == *b"HTTP/1.1 200")
}

/// Returns the beginning of the answer to a request.
fn ask(addr: SocketAddr) -> io::Result<[u8; 12]> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(PERIOD))?;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: chaos\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status)
}

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
    /// Whether the process is to run. If so, it is started again when it ends.
    is_wanted: bool,
    /// Whether this process has ever served a request.
    has_served: bool,
}

impl State {
    /// The status of a process that has ended.
    fn status(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok()?
    }
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
        let child = Some(self.spawn()?);
        *self.state() = State { child, is_wanted: true, has_served: false };
        Ok(())
    }

    fn spawn(&self) -> Result<Child, Error> {
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
        command
            .env("DATABASE_URL", &self.database_url)
            .env("MERCURIO_ADDR", self.addr.to_string())
            .env("MERCURIO_LOG_FORMAT", "json")
            .env("MERCURIO_LOG_LEVEL", "warning")
            .env("MERCURIO_SHUTDOWN_DELAY_SECONDS", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command.spawn()?)
    }

    /// Ends the server like a power failure.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.is_wanted = false;
        if let Some(child) = &mut state.child {
            // Both fail only if it has ended already.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Stops the server in order, and returns its status. `None` if it hangs for a minute.
    pub(crate) fn stop(&self) -> Option<ExitStatus> {
        self.state().is_wanted = false;
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

    /// Looks after the server until `is_over`.
    pub(crate) fn supervise(&self, is_over: impl Fn() -> bool) {
        while !is_over() {
            if let Err(error) = self.look() {
                self.journal.violation(format!("server {}: {error}", self.number));
            }
            std::thread::sleep(PERIOD);
        }
    }

    /// Starts the process again if it has ended by itself.
    fn look(&self) -> Result<(), Error> {
        // Held throughout, so that no fault ends or starts the process at the same time.
        let mut state = self.state();
        let Some(status) = state.status().filter(|_| state.is_wanted) else {
            if !state.has_served {
                state.has_served = serves(self.addr);
            }
            return Ok(());
        };
        // Without a database, a server ends at start-up, and its log has the reason.
        if state.has_served || status.code() != Some(NO_DATABASE) {
            let (number, log) = (self.number, self.log());
            let log = log.display();
            self.journal.violation(format!("server {number} ended by itself: {status}; see {log}"));
        }
        state.child = Some(self.spawn()?);
        state.has_served = false;
        Ok(())
    }

    fn status(&self) -> Option<ExitStatus> {
        self.state().status()
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

//! One PostgreSQL server: primary or standby, with its own disk.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use rustix::process::Signal;

use super::disk::Disk;
use crate::error::Error;
use crate::process::{User, children, exists, free_port, run, signal};

/// Longer than any start, stop or crash recovery takes.
const PATIENCE: Duration = Duration::from_secs(120);
const PERIOD: Duration = Duration::from_millis(20);

/// A node of the cluster.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) addr: SocketAddr,
    pub(crate) disk: Disk,
    programs: PathBuf,
    user: Option<User>,
    config: PathBuf,
    log: PathBuf,
    postmaster: Mutex<Option<Child>>,
}

impl Node {
    pub(crate) fn new(name: &'static str, folder: &Path) -> Result<Self, Error> {
        let node = Self {
            name,
            addr: ([127, 0, 0, 1], free_port()?).into(),
            disk: Disk::new(&folder.join(name))?,
            programs: programs()?,
            user: User::of_postgres()?,
            config: folder.join(format!("{name}.conf")),
            log: folder.join(format!("{name}.log")),
            postmaster: Mutex::new(None),
        };
        fs::create_dir(node.data())?;
        if let Some(user) = node.user {
            user.own(&node.data())?;
            user.own(&node.disk.folder)?;
        }
        Ok(node)
    }

    /// Creates an empty database.
    pub(crate) fn initialize(&self) -> Result<(), Error> {
        let arguments = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"];
        self.run("initdb", |command| command.arg("-D").arg(self.data()).args(arguments))
    }

    /// Writes the settings. `upstream` is the address at which the other node is reached.
    pub(crate) fn configure(&self, upstream: SocketAddr, shared: &Path) -> Result<(), Error> {
        let access = self.config.with_extension("hba");
        fs::write(
            &access,
            "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n",
        )?;
        // Outside of the data folder, because a rebuilt standby gets a copy of the primary's.
        let text = format!(
            "listen_addresses = '127.0.0.1'
             port = {port}
             unix_socket_directories = ''
             hba_file = '{access}'
             timezone = 'UTC'
             max_connections = 200
             shared_buffers = '256MB'
             # The machine survives the run, and with it all that was written.
             fsync = off
             wal_log_hints = on
             max_wal_size = '1GB'
             wal_keep_size = '1GB'
             wal_receiver_timeout = '5s'
             wal_sender_timeout = '5s'
             wal_retrieve_retry_interval = '200ms'
             primary_conninfo = 'host=127.0.0.1 port={upstream} user=postgres connect_timeout=2'
             include '{shared}'
            ",
            port = self.addr.port(),
            access = access.display(),
            upstream = upstream.port(),
            shared = shared.display(),
        );
        Ok(fs::write(&self.config, text)?)
    }

    /// Starts PostgreSQL if it does not run, and waits until it takes queries.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if !self.is_running() {
                self.spawn()?;
            }
            if self.connect("postgres").is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = self.log.display();
                return Err(format!("PostgreSQL {} does not start: see {log}", self.name).into());
            }
            std::thread::sleep(PERIOD);
        }
    }

    fn spawn(&self) -> Result<(), Error> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(self.programs.join("postgres"));
        if let Some(user) = self.user {
            user.apply(&mut command);
        }
        let child = command
            .arg("-D")
            .arg(self.data())
            .arg("-c")
            .arg(format!("config_file={}", self.config.display()))
            .current_dir(&self.disk.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        *self.postmaster() = Some(child);
        Ok(())
    }

    fn is_running(&self) -> bool {
        self.postmaster().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Kills the postmaster and all its processes, like a power failure.
    pub(crate) fn kill(&self) -> Result<(), Error> {
        let mut postmaster = self.postmaster();
        let Some(mut child) = postmaster.take() else {
            return Ok(());
        };
        // Stopped first, so that it starts no other process.
        signal(child.id(), Signal::STOP);
        let backends = children(child.id());
        child.kill()?;
        child.wait()?;
        for pid in &backends {
            signal(*pid, Signal::KILL);
        }
        // The data folder is free once all are gone. A backend that lived on might still commit.
        wait_until(|| backends.iter().all(|pid| !exists(*pid)))
    }

    /// Kills the postmaster alone. Its processes end when they notice.
    pub(crate) fn kill_postmaster(&self) -> Result<(), Error> {
        let mut postmaster = self.postmaster();
        let Some(mut child) = postmaster.take() else {
            return Ok(());
        };
        let backends = children(child.id());
        child.kill()?;
        child.wait()?;
        wait_until(|| backends.iter().all(|pid| !exists(*pid)))
    }

    /// Stops PostgreSQL, in a mode of `pg_ctl`.
    pub(crate) fn stop(&self, mode: &str) -> Result<(), Error> {
        if !self.is_running() {
            return Ok(());
        }
        let stopped =
            self.run("pg_ctl", |it| it.args(["stop", "-w", "-m", mode, "-D"]).arg(self.data()));
        // The child is to be reaped, or it would count as running.
        if let Some(child) = self.postmaster().as_mut() {
            child.wait()?;
        }
        stopped
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) -> Result<(), Error> {
        self.run("pg_ctl", |it| it.args(["promote", "-w", "-t", "60", "-D"]).arg(self.data()))
    }

    /// Makes this stopped node a standby of `primary`. Returns the way: rewound or copied.
    pub(crate) fn rebuild_from(&self, primary: &Node) -> Result<&'static str, Error> {
        // Rewinding compares timelines in the control file, which a checkpoint updates.
        primary.execute("CHECKPOINT")?;
        let rewound = self.run("pg_rewind", |command| {
            command
                .arg("--no-sync")
                .arg("--target-pgdata")
                .arg(self.data())
                .arg("--config-file")
                .arg(&self.config)
                .arg("--source-server")
                .arg(format!("{} dbname=postgres", primary.conninfo()))
        });
        let way = if rewound.is_ok() { "rewound" } else { "copied" };
        if rewound.is_err() {
            self.copy_from(primary)?;
        }
        fs::write(self.data().join("standby.signal"), "")?;
        Ok(way)
    }

    /// Replaces the data by a copy of the primary's.
    pub(crate) fn copy_from(&self, primary: &Node) -> Result<(), Error> {
        fs::remove_dir_all(self.data())?;
        self.run("pg_basebackup", |command| {
            command
                .args(["--no-sync", "-c", "fast", "-X", "stream", "-d"])
                .arg(primary.conninfo())
                .arg("-D")
                .arg(self.data())
        })?;
        Ok(fs::write(self.data().join("standby.signal"), "")?)
    }

    /// The end of the WAL of a stopped node.
    pub(crate) fn last_checkpoint(&self) -> Result<String, Error> {
        let program = self.programs.join("pg_controldata");
        let text = run(Command::new(program).arg("-D").arg(self.data()).env("LC_ALL", "C"))?;
        let line = text.lines().find_map(|it| it.strip_prefix("Latest checkpoint location:"));
        Ok(line.ok_or("pg_controldata has no checkpoint")?.trim().to_owned())
    }

    fn connect(&self, database: &str) -> Result<PgConnection, Error> {
        // Without notices, which libpq prints.
        let options = "connect_timeout=2&options=-cclient_min_messages%3Derror";
        let url = format!("postgres://postgres@{}/{database}?{options}", self.addr);
        Ok(PgConnection::establish(&url)?)
    }

    /// Runs statements in the database `postgres`.
    pub(crate) fn execute(&self, sql: &str) -> Result<(), Error> {
        self.execute_in("postgres", sql)
    }

    pub(crate) fn execute_in(&self, database: &str, sql: &str) -> Result<(), Error> {
        Ok(self.connect(database)?.batch_execute(sql)?)
    }

    /// Evaluates a condition.
    pub(crate) fn is_true(&self, sql: &str) -> Result<bool, Error> {
        Ok(diesel::select(diesel::dsl::sql::<Bool>(sql))
            .get_result(&mut self.connect("postgres")?)?)
    }

    /// Evaluates an expression.
    pub(crate) fn text(&self, sql: &str) -> Result<String, Error> {
        let expression = format!("({sql})::text");
        Ok(diesel::select(diesel::dsl::sql::<Text>(&expression))
            .get_result(&mut self.connect("postgres")?)?)
    }

    fn conninfo(&self) -> String {
        format!("host=127.0.0.1 port={} user=postgres", self.addr.port())
    }

    fn run(
        &self,
        program: &str,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<(), Error> {
        let mut command = Command::new(self.programs.join(program));
        if let Some(user) = self.user {
            user.apply(&mut command);
        }
        run(arguments(&mut command).current_dir(&self.disk.folder)).map(drop)
    }

    fn data(&self) -> PathBuf {
        self.disk.folder.join("data")
    }

    fn postmaster(&self) -> MutexGuard<'_, Option<Child>> {
        self.postmaster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nothing to be done about a failure at the end of the run.
        self.kill().ok();
    }
}

/// Waits for a condition that comes true soon, or fails.
pub(crate) fn wait_until(condition: impl Fn() -> bool) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > deadline {
            return Err("a condition of the cluster did not come true".into());
        }
        std::thread::sleep(PERIOD);
    }
    Ok(())
}

/// The folder of PostgreSQL's programs. Debian keeps it out of PATH, one per version.
fn programs() -> Result<PathBuf, Error> {
    // Not every installation has the programs of replication.
    let is_complete =
        |folder: &PathBuf| folder.join("initdb").exists() && folder.join("pg_rewind").exists();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    // The newest version, by the folder's name.
    let newest = debian.map(|version| version.path().join("bin")).filter(is_complete).max();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = newest.or_else(|| std::env::split_paths(&path).find(is_complete));
    found.ok_or_else(|| {
        "no PostgreSQL server found. On Debian and Ubuntu: apt-get install postgresql".into()
    })
}

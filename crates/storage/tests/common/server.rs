//! A PostgreSQL server for one test, to stop and start.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A server with its own data folder, stopped on drop.
pub(crate) struct Server {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    /// Compiled locales for the server's programs, in place of the system's.
    locales: Option<PathBuf>,
}

impl Server {
    /// Creates a cluster that trusts all loopback clients, adds `settings` to `postgresql.conf`,
    /// and starts it.
    pub(crate) fn start(settings: &str) -> Self {
        Self::in_new_folder().create_and_start(settings)
    }

    /// Like [`Self::start`], with German messages.
    pub(crate) fn start_german(settings: &str) -> Self {
        let mut server = Self::in_new_folder();
        let locales = server.folder.path().join("locales");
        fs::create_dir(&locales).unwrap();
        // The system may lack the locale, and building it there needs root.
        let german = locales.join("de_DE.UTF-8");
        run(Command::new("localedef").args(["-i", "de_DE", "-f", "UTF-8"]).arg(german));
        server.locales = Some(locales);
        server.create_and_start(&format!("lc_messages = 'de_DE.UTF-8'\n{settings}"))
    }

    fn create_and_start(self, settings: &str) -> Self {
        let server = self;
        // The cluster lives for one test, so its files need no sync. Small segments allow for
        // small limits on files.
        let options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"];
        server
            .run("initdb", &[&["-D", &server.data(), "--wal-segsize", "1"], &options[..]].concat());
        let sockets = server.folder.path().display();
        server.add_settings(&format!(
            // An immediate stop loses nothing: the operating system keeps running.
            "fsync = off\nunix_socket_directories = '{sockets}'\nport = {}\n{settings}",
            server.port
        ));
        server.resume();
        server
    }

    /// Copies `primary` and starts the copy as its standby.
    pub(crate) fn standby_of(primary: &Self) -> Self {
        let server = Self::in_new_folder();
        server.run(
            "pg_basebackup",
            // `-R` makes a standby of it, `-c fast` does not wait for a checkpoint.
            &["-d", &primary.url(), "-D", &server.data(), "-R", "-c", "fast", "--no-sync"],
        );
        let sockets = server.folder.path().display();
        server.add_settings(&format!(
            "unix_socket_directories = '{sockets}'\nport = {}",
            server.port
        ));
        server.resume();
        server
    }

    fn in_new_folder() -> Self {
        // In /tmp, not TMPDIR: the server's user needs access, and socket paths are limited in
        // length.
        let folder = TempDir::with_prefix_in("mercurio-server-", "/tmp").unwrap();
        // The listener is dropped at once; another process may take the port, but rarely does.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder, programs: programs(), port, locales: None };
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(server.folder.path()));
        }
        server
    }

    /// Adds lines to `postgresql.conf`. They apply at the next start or [`Self::reload`].
    pub(crate) fn add_settings(&self, settings: &str) {
        let file = Path::new(&self.data()).join("postgresql.conf");
        fs::write(&file, format!("{}\n{settings}\n", fs::read_to_string(&file).unwrap())).unwrap();
    }

    /// Limits the size of files to `bytes` in sessions opened from now on, like a full disk.
    pub(crate) fn limit_files(&self, bytes: Option<u32>) {
        let file = fs::read_to_string(Path::new(&self.data()).join("postmaster.pid")).unwrap();
        let postmaster = file.lines().next().unwrap();
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        // As the server's user: root may lack the right in a container.
        self.run("/usr/bin/env", &["prlimit", "--pid", postmaster, &format!("--fsize={limit}:")]);
    }

    /// Replaces `pg_hba.conf`. It applies at the next start.
    pub(crate) fn replace_access(&self, lines: &str) {
        fs::write(Path::new(&self.data()).join("pg_hba.conf"), lines).unwrap();
    }

    /// Copies a file into the data folder, readable only by the server.
    pub(crate) fn install(&self, name: &str, content: &Path) {
        let file = Path::new(&self.data()).join(name);
        fs::copy(content, &file).unwrap();
        // PostgreSQL refuses a private key that others can read.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(&file));
        }
    }

    /// Applies changed settings that need no start.
    pub(crate) fn reload(&self) {
        self.run("pg_ctl", &["reload", "-D", &self.data()]);
    }

    /// Makes a primary of a standby.
    pub(crate) fn promote(&self) {
        self.run("pg_ctl", &["promote", "-w", "-D", &self.data()]);
    }

    /// Starts the server.
    pub(crate) fn resume(&self) {
        let log = self.folder.path().join("log");
        self.run("pg_ctl", &["start", "-w", "-D", &self.data(), "-l", log.to_str().unwrap()]);
    }

    /// Stops the server without a shutdown checkpoint, like a crash.
    pub(crate) fn crash(&self) {
        self.run("pg_ctl", &["stop", "-w", "-m", "immediate", "-D", &self.data()]);
    }

    /// Stops the server like an administrator: sessions end, and the data is written.
    pub(crate) fn stop(&self) {
        self.run("pg_ctl", &["stop", "-w", "-m", "fast", "-D", &self.data()]);
    }

    /// Replaces the data of this stopped server by a copy, or makes the copy.
    pub(crate) fn copy_data(&self, from: &str, to: &str) {
        self.run("/bin/rm", &["-rf", to]);
        self.run("/bin/cp", &["-a", from, to]);
    }

    /// The URL, without TLS.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres", "postgres")
    }

    /// The URL of a role and a database, without TLS.
    pub(crate) fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn data(&self) -> String {
        self.folder.path().join("data").to_str().unwrap().to_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        // PostgreSQL refuses to run as root.
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        if let Some(locales) = &self.locales {
            command.env("LOCPATH", locales);
        }
        run(command.args(arguments).current_dir(self.folder.path()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test may have crashed the server itself.
        if Path::new(&self.data()).join("postmaster.pid").exists() {
            self.crash();
        }
    }
}

fn is_root() -> bool {
    String::from_utf8_lossy(&Command::new("id").arg("-u").output().unwrap().stdout).trim() == "0"
}

fn run(command: &mut Command) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    assert!(status.success(), "{command:?}\n{}{}", text(stdout), text(stderr));
}

/// The folder of the server's programs. Debian keeps it out of PATH, one per version.
fn programs() -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates =
        debian.map(|version| version.path().join("bin")).chain(std::env::split_paths(&path));
    // A folder in PATH may hold links to a few of the programs only.
    let linked = candidates.filter_map(|folder| fs::canonicalize(folder.join("initdb")).ok());
    // The newest version, by the folder's name.
    let found = linked.filter_map(|program| Some(program.parent()?.to_owned())).max();
    found.unwrap_or_else(|| {
        panic!("no PostgreSQL server found. On Debian or Ubuntu, run apt-get install postgresql")
    })
}

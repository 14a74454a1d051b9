//! Bash in a separate folder, with the programs of this build.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::page::{Block, root};

const INGEST: &str = env!("CARGO_BIN_EXE_mercurio-ingest");
/// Separates the outputs of blocks.
const MARK: &str = "\u{1}";

/// A replacement for `cargo`, with the paths of the programs in place of `INGEST` and `ADMIN`.
const CARGO: &str = r#"#!/usr/bin/env bash
set -eu
case "$*" in
    "build --release --bin mercurio-ingest --bin mercurio-admin")
        mkdir -p target/release
        ln -sf 'INGEST' 'ADMIN' target/release/
        ;;
    "run --release --bin mercurio-ingest") exec 'INGEST' ;;
    *) echo "cargo: not a command of the pages: cargo $*" >&2; exit 64 ;;
esac
"#;

/// A folder and an environment for blocks.
pub(crate) struct Shell {
    folder: TempDir,
    addr: SocketAddr,
}

/// Returns the path of `mercurio-admin`. Cargo passes a test only the programs of its own package,
/// but a build of the workspace puts both programs into one folder.
fn admin() -> PathBuf {
    let admin = Path::new(INGEST).with_file_name("mercurio-admin");
    let advice = "build it first: cargo build --bin mercurio-admin";
    assert!(admin.exists(), "{} does not exist; {advice}", admin.display());
    admin
}

/// Finds a free port below the system's range for outgoing connections.
fn free_addr() -> SocketAddr {
    // Processes that run at once start at different ports.
    let first = 10_000 + u16::try_from(std::process::id() % 5_000).expect("below 5,000");
    let addrs = (0..5_000).map(|step| SocketAddr::from(([127, 0, 0, 1], first + step)));
    addrs.into_iter().find(|addr| TcpListener::bind(addr).is_ok()).expect("a free port")
}

impl Shell {
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("mercurio-page-").expect("a folder");
        let addr = free_addr();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("a folder for programs");
        let cargo =
            CARGO.replace("INGEST", INGEST).replace("ADMIN", &admin().display().to_string());
        fs::write(bin.join("cargo"), cargo).expect("cargo");
        fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755))
            .expect("cargo can be run");
        for program in [Path::new(INGEST), &admin()] {
            std::os::unix::fs::symlink(program, bin.join(program.file_name().expect("a name")))
                .expect("a link");
        }
        std::os::unix::fs::symlink(root().join("examples"), folder.path().join("examples"))
            .expect("a link");
        Self { folder, addr }
    }

    fn bash(&self, script: &str, settings: &[(&str, &str)]) -> Command {
        let script = script.replace("127.0.0.1:8080", &self.addr.to_string());
        let path = std::env::var("PATH").expect("PATH");
        let mut command = Command::new("bash");
        command
            // The first failing command of a page fails the test.
            .arg("-euo")
            .arg("pipefail")
            .arg("-c")
            .arg(script)
            .current_dir(self.folder.path())
            .env_clear();
        command
            .env("PATH", format!("{}/bin:{path}", self.folder.path().display()))
            .env("HOME", self.folder.path());
        command.env("MERCURIO_ADDR", self.addr.to_string()).envs(settings.iter().copied());
        // A separate process group, so that one signal reaches every process of a block.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs blocks one after another in one shell. Returns the output of each.
    pub(crate) fn run<'a>(&self, blocks: &'a [Block]) -> Vec<(&'a Block, String)> {
        self.run_with(blocks, &[])
    }

    #[track_caller]
    pub(crate) fn run_with<'a>(
        &self,
        blocks: &'a [Block],
        settings: &[(&str, &str)],
    ) -> Vec<(&'a Block, String)> {
        // Background servers of the blocks end with the shell.
        let mut script = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n".to_owned();
        for block in blocks {
            script.extend([block.text.as_str(), "printf '", MARK, "'\n"]);
        }
        let output = self.bash(&script, settings).output().expect("bash runs");
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
        let outputs: Vec<&str> = out.split_terminator(MARK).collect();
        assert_eq!(outputs.len(), blocks.len(), "{out}");
        blocks.iter().zip(outputs.into_iter().map(str::to_owned)).collect()
    }

    /// Starts a block that ends with a server in the foreground, and waits until it listens.
    #[track_caller]
    pub(crate) fn start(&self, block: &Block, settings: &[(&str, &str)]) -> Foreground {
        let mut child = self.bash(&block.text, settings).spawn().expect("bash starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let listens =
            stdout.any(|line| line.is_ok_and(|line| line.contains(r#""msg":"listening""#)));
        let server = Foreground { child, _stdout: stdout, stderr: stderr.lines() };
        assert!(listens, "no server listens after\n{}", block.text);
        server
    }
}

/// A running block. Dropping it kills its processes.
pub(crate) struct Foreground {
    child: Child,
    /// Kept open: the server writes its log to it.
    _stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Foreground {
    /// Reads the key from the greeting.
    #[track_caller]
    pub(crate) fn greeted_key(&mut self) -> String {
        let mut lines = self.stderr.by_ref().map_while(Result::ok);
        let line =
            lines.find(|line| line.trim_start().starts_with("mk_")).expect("a key on stderr");
        line.trim().to_owned()
    }

    /// Presses Ctrl-C.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal("INT");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }

    /// Sends a signal to every process of the block.
    fn signal(&self, name: &str) {
        // Not every `sh` can signal a group.
        let sent = Command::new("bash")
            .args(["-c", &format!("kill -{name} -- -{}", self.child.id())])
            .status();
        assert!(sent.expect("bash runs").success());
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        // After `wait`, the id may belong to another process.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("KILL");
            self.child.wait().ok();
        }
    }
}

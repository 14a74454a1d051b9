//! The receivers in examples/forwarding as written: they verify signatures with code of their own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::program::{SECRET, Workspace, stderr_of};

/// A program of examples/forwarding. Ends with the value.
struct Example {
    child: Child,
    url: String,
}

impl Example {
    fn start(interpreter: &str, script: &str, output: &Path) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/forwarding");
        let mut child = Command::new(interpreter)
            .arg(folder.join(script))
            .arg("0")
            .arg(output)
            .env("MERCURIO_WEBHOOK_SECRET", SECRET)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("listening on ").expect("its address").to_owned();
        Self { child, url }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends events twice, over a restart, and returns the file of the receiver.
#[track_caller]
fn received_twice(interpreter: &str, script: &str, folder: &Path) -> PathBuf {
    let [workspace, _] = Workspace::on_both();
    workspace.append(&["a", "b"]);
    let output = folder.join("received");
    let example = Example::start(interpreter, script, &output);
    assert_eq!(workspace.forward_once(&example.url, &[])["events"], 2);
    drop(example);
    let example = Example::start(interpreter, script, &output);
    workspace.append(&["c"]);
    // Another name starts at the oldest event: two of these are there already.
    assert_eq!(workspace.forward_once(&example.url, &["--name", "again"])["events"], 3);
    let other = format!("whsec_{}", "B".repeat(32));
    let mut wrong = workspace.forward(&example.url, &["--once", "--name", "wrong"]);
    let refused = wrong.env("MERCURIO_WEBHOOK_SECRET", other).output().expect("the program runs");
    assert_eq!(refused.status.code(), Some(1));
    let err = stderr_of(&refused);
    assert!(err.contains("refuses the batch with status 401: check the secret"), "{err}");
    output
}

#[test]
fn python_example_stores_each_event_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = received_twice("python3", "receive.py", folder.path());
    let query = "import json, sqlite3, sys
for event, in sqlite3.connect(sys.argv[1]).execute('SELECT event FROM events ORDER BY 1'):
    print(json.loads(event)['event_id'])";
    let listed = Command::new("python3").args(["-c", query]).arg(file).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "a\nb\nc\n");
}

#[test]
fn node_example_stores_each_event_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = received_twice("node", "receive.mjs", folder.path());
    let text = std::fs::read_to_string(file).expect("its file");
    let ids = text.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        event["event_id"].as_str().expect("an id").to_owned()
    });
    assert_eq!(ids.collect::<Vec<_>>(), ["a", "b", "c"]);
}

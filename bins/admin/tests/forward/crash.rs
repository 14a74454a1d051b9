//! kill -9 between the answer and the cursor, and two processes of one name.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};

use mercurio_domain::store::Backend;
use mercurio_forwarding::testing::{Receiver, Reply};
use mercurio_storage::testing::wait_until;

use crate::program::{Workspace, stderr_of, terminate};

/// Keeps all others from writing to a SQLite file until stdin ends.
const SQLITE_LOCK: &str = "import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
sys.stdin.read()";

/// Keeps others from storing a cursor while it lives.
struct WriteLock(Child);

impl WriteLock {
    fn on(workspace: &Workspace) -> Self {
        let url = workspace.database.url_text();
        let mut command = match workspace.database.store().backend() {
            Backend::Postgres => {
                let mut psql = Command::new("psql");
                psql.args(["-qXAt", "-v", "ON_ERROR_STOP=1", &url]);
                psql
            }
            _ => {
                let mut python = Command::new("python3");
                python.args(["-c", SQLITE_LOCK, url.strip_prefix("sqlite://").expect("a file")]);
                python
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().expect("it runs");
        if workspace.database.store().backend() == Backend::Postgres {
            let lock = "begin; lock table feed_consumers in share mode; select 'locked';\n";
            std::io::Write::write_all(&mut holder.stdin.as_mut().expect("stdin"), lock.as_bytes())
                .expect("psql reads");
        }
        let mut answer = String::new();
        let stdout = holder.stdout.take().expect("stdout");
        BufReader::new(stdout).read_line(&mut answer).expect("an answer");
        assert_eq!(answer.trim(), "locked");
        Self(holder)
    }

    fn release(mut self) {
        // The end of its input ends the transaction.
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("it ends").success());
    }
}

#[test]
fn kill_between_answer_and_cursor_repeats_the_batch() {
    for workspace in Workspace::on_both() {
        workspace.append(&["a", "b", "c"]);
        // The first request waits for its answer until the cursor cannot be stored.
        let barrier = Arc::new(Barrier::new(2));
        let in_receiver = Arc::clone(&barrier);
        let receiver = Receiver::start(move |number, _| {
            if number == 0 {
                in_receiver.wait();
                in_receiver.wait();
            }
            Reply::status(200)
        });
        let mut forwarder =
            workspace.forward(&receiver.url(), &[]).spawn().expect("the program starts");
        barrier.wait();
        let lock = WriteLock::on(&workspace);
        barrier.wait();
        receiver.wait(|requests| !requests.is_empty());
        // SIGKILL. It cannot have stored the cursor.
        forwarder.kill().expect("killed");
        assert!(!forwarder.wait().expect("its end").success());
        lock.release();
        let result = workspace.forward_once(&receiver.url(), &[]);
        assert_eq!(result["events"], 3);
        let requests = receiver.requests();
        assert_eq!(requests.len(), 2);
        let tenant = workspace.owner.tenant_id;
        let expected = ["a", "b", "c"].map(|id| format!("{tenant}:{id}"));
        let mut first = requests[0].message_ids();
        assert_eq!(first, requests[1].message_ids());
        assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
        first.sort();
        assert_eq!(first, expected);
        assert_eq!(workspace.forward_once(&receiver.url(), &[])["events"], 0);
    }
}

#[test]
fn second_process_of_a_name_ends_with_exit_code_1() {
    for workspace in Workspace::on_both() {
        workspace.append(&["a"]);
        // The first request of each arrives before any gets its answer.
        let barrier = Barrier::new(2);
        let receiver = Receiver::start(move |number, _| {
            if number < 2 {
                barrier.wait();
            }
            Reply::status(200)
        });
        let start = || workspace.forward(&receiver.url(), &[]).spawn().expect("the program starts");
        let mut children = [start(), start()];
        wait_until("one of them ends", || {
            children.iter_mut().any(|child| child.try_wait().expect("a state").is_some())
        });
        let [first, second] = children;
        let outputs = [first, second].map(|mut child| match child.try_wait().expect("a state") {
            Some(_) => child.wait_with_output().expect("its output"),
            None => terminate(child),
        });
        let mut codes = outputs.each_ref().map(|output| output.status.code());
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(1)]);
        let errors = outputs.each_ref().map(stderr_of).join("\n");
        assert!(errors.contains("another process forwards under the name \"default\""), "{errors}");
    }
}

#[test]
fn sigterm_ends_a_receiver_that_hangs_after_the_time_limit() {
    let [workspace, _] = Workspace::on_both();
    workspace.append(&["a"]);
    let receiver = Receiver::start(|_, _| Reply::Hang);
    let mut command = workspace.forward(&receiver.url(), &["--timeout", "1s"]);
    let forwarder = command.spawn().expect("the program starts");
    receiver.wait(|requests| requests.len() == 1);
    let result = crate::program::result_of(&terminate(forwarder));
    assert_eq!((&result["events"], &result["failed_attempts"]), (&0.into(), &1.into()));
}

#[test]
fn sigterm_ends_with_the_totals() {
    for workspace in Workspace::on_both() {
        workspace.append(&["a"]);
        let receiver = Receiver::with_status(200);
        let forwarder =
            workspace.forward(&receiver.url(), &[]).spawn().expect("the program starts");
        // The second request is a sign that the first cursor is stored.
        receiver.wait(|requests| requests.len() == 1);
        workspace.append(&["b"]);
        receiver.wait(|requests| requests.len() == 2);
        let output = terminate(forwarder);
        let result = crate::program::result_of(&output);
        assert_eq!((&result["events"], &result["name"]), (&2.into(), &"default".into()));
        assert_eq!(workspace.forward_once(&receiver.url(), &[])["events"], 0);
    }
}

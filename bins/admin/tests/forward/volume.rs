//! Many writers at once, and a person erased in between.

use std::collections::HashSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use mercurio_forwarding::testing::{Receiver, Reply};
use mercurio_storage::testing::wait_until;

use crate::program::{Workspace, append, result_of, terminate};

const WRITERS: usize = 8;
const GROUPS: usize = 10;
const GROUP: usize = 125;

/// Whether the receiver fails a request. Not later ones: each costs a pause.
fn fails(number: usize) -> bool {
    number < 40 && number % 10 == 3
}

#[test]
fn concurrent_writers_lose_no_event() {
    for workspace in Workspace::on_both() {
        // Some requests fail.
        let seen = Arc::new(Mutex::new(HashSet::new()));
        let of_receiver = Arc::clone(&seen);
        let receiver = Receiver::start(move |number, request| {
            of_receiver.lock().expect("no panic").extend(request.message_ids());
            Reply::status(if fails(number) { 503 } else { 204 })
        });
        let forwarder =
            workspace.forward(&receiver.url(), &["--batch", "250"]).spawn().expect("a start");
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let workspace = &workspace;
                scope.spawn(move || {
                    let store = workspace.database.another_store();
                    for group in 0..GROUPS {
                        let ids: Vec<_> =
                            (0..GROUP).map(|event| format!("{writer}-{group}-{event}")).collect();
                        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
                        append(&store, workspace.owner, &ids);
                    }
                });
            }
        });
        wait_until("every event arrives", || {
            seen.lock().expect("no panic").len() == WRITERS * GROUPS * GROUP
        });
        let result = result_of(&terminate(forwarder));
        let requests = receiver.requests();
        // Only failed requests were sent twice.
        let failed = result["failed_attempts"].as_u64().expect("a number");
        assert_eq!(requests.len() as u64, result["requests"].as_u64().expect("a number") + failed);
        let mut taken = HashSet::new();
        for (number, request) in requests.iter().enumerate() {
            let ids = request.message_ids();
            if !fails(number) {
                assert!(ids.iter().all(|id| taken.insert(id.clone())), "twice in {number}");
            }
        }
    }
}

#[test]
fn erased_person_is_not_sent() {
    for workspace in Workspace::on_both() {
        workspace.append(&["a", "b"]);
        let receiver = Receiver::with_status(200);
        workspace.forward_once(&receiver.url(), &[]);
        workspace.append(&["c"]);
        let erased = Command::new(env!("CARGO_BIN_EXE_mercurio-admin"))
            .args(["events", "erase", "--tenant", "Acme", "--user-id", "u", "--yes"])
            .env_clear()
            .env("DATABASE_URL", workspace.database.url_text())
            .output()
            .expect("the program runs");
        assert!(erased.status.success());
        workspace.append(&["d"]);
        let result = workspace.forward_once(&receiver.url(), &[]);
        assert_eq!(result["events"], 1);
        let tenant = workspace.owner.tenant_id;
        assert_eq!(receiver.requests()[1].message_ids(), [format!("{tenant}:d")]);
    }
}

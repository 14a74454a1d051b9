//! An orderly stop: not ready at once, requests in flight finished, exit code 0.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use mercurio_history::History;
use mercurio_storage::testing::wait_for;

use crate::client::Client;
use crate::server::Deployment;

fn check(deployment: &Deployment) {
    let server = deployment.start();
    let (addr, (progress, answered)) = (server.addr, channel());
    let (sent, status, stdout) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let (name, progress) = (format!("c{client}"), progress.clone());
                scope.spawn(move || deployment.sender().send_until_gone(addr, &name, &progress))
            })
            .collect();
        // 20 acknowledged batches: the signal arrives under load.
        answered.iter().take(20).for_each(drop);
        let mut probe = Client::connect(addr).unwrap();
        assert_eq!(probe.get("/health/ready", "").unwrap().status, 200);
        server.signal("TERM");
        // During the shutdown delay the server still accepts connections.
        let refused = wait_for("the server is not ready any more", || {
            let ready = probe.get("/health/ready", "").unwrap();
            if ready.status == 200 { Err(ready.body) } else { Ok(ready) }
        });
        assert_eq!((refused.status, refused.json["code"].as_str()), (503, Some("shutting_down")));
        assert_eq!(probe.get("/health/live", "").unwrap().status, 200);
        let (status, stdout, _) = server.wait();
        let sent: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        (sent, status, stdout)
    });
    assert_eq!(status.code(), Some(0), "{:?}", stdout.last());
    assert!(
        stdout.last().is_some_and(|line| line.contains("\"server stopped\"")),
        "the log is complete"
    );
    assert!(Client::connect(addr).is_err());
    let mut history = History::default();
    for sent in sent {
        history.merge(sent);
    }
    deployment.check(&history);
}

#[test]
fn sigterm_under_load_loses_nothing_on_sqlite() {
    check(&Deployment::sqlite());
}

#[test]
fn sigterm_under_load_loses_nothing_on_postgres() {
    check(&Deployment::postgres());
}

#[test]
fn interrupt_stops_an_idle_server_at_once() {
    let deployment = Deployment::sqlite();
    let server = deployment.start();
    let start = Instant::now();
    server.signal("INT");
    let (status, _, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

//! kill -9 under load: every acknowledged event is stored once, and all others can be sent again.

use std::sync::mpsc::channel;

use crate::client::Client;
use crate::server::Deployment;

/// Number of clients. The last two send the same ids as the first two.
const CLIENTS: usize = 8;

fn check(deployment: &Deployment) {
    let mut sender = deployment.sender();
    for round in 0..3_usize {
        let server = deployment.start();
        let (addr, (progress, answered)) = (server.addr, channel());
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (name, progress) =
                        (format!("r{round}-c{}", client % (CLIENTS - 2)), progress.clone());
                    scope.spawn(move || deployment.sender().send_until_gone(addr, &name, &progress))
                })
                .collect();
            // A different moment in each round, always under load.
            answered.iter().take(7 + 23 * round).for_each(drop);
            server.kill();
            for client in clients {
                sender.history.merge(client.join().unwrap());
            }
        });

        let server = deployment.start();
        deployment.check(&sender.history);
        // Some may be stored: the server can die between commit and response.
        sender.send_again(&mut Client::connect(server.addr).unwrap());
        let report = deployment.check(&sender.history);
        assert_eq!(report.rows, report.figures.events, "every event is stored");
        server.kill();
    }
}

#[test]
fn kill_loses_no_acknowledged_event_on_sqlite() {
    check(&Deployment::sqlite());
}

#[test]
fn kill_loses_no_acknowledged_event_on_postgres() {
    check(&Deployment::postgres());
}

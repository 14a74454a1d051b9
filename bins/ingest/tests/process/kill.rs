//! kill -9 under load: every acknowledged event is stored once, and all others can be sent again.

use std::sync::mpsc::channel;

use crate::client::{Client, Sent, send_until_gone, stored_ids};
use crate::quota::check_counts;
use crate::server::Deployment;

/// Number of clients. The last two send the same ids as the first two.
const CLIENTS: usize = 8;

fn check(deployment: &Deployment) {
    let mut known = Sent::default();
    for round in 0..3_usize {
        let server = deployment.start();
        let (addr, (progress, answered)) = (server.addr, channel());
        let sent = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (name, progress) =
                        (format!("r{round}-c{}", client % (CLIENTS - 2)), progress.clone());
                    scope.spawn(move || send_until_gone(addr, &deployment.key, &name, &progress))
                })
                .collect();
            // A different moment in each round, always under load.
            answered.iter().take(7 + 23 * round).for_each(drop);
            server.kill();
            clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
        });
        for sent in sent {
            known.merge(sent);
        }

        let server = deployment.start();
        let stored = stored_ids(server.addr, &deployment.key);
        assert_eq!(check_counts(&*deployment.database.store()), stored.len() as u64);
        for id in known.acknowledged.keys() {
            assert!(stored.contains(id), "{id} was acknowledged and is lost");
        }
        let mut client = Client::connect(server.addr).unwrap();
        for ids in std::mem::take(&mut known.unanswered) {
            // Some may be stored: the server can die between commit and response.
            let answer = client.batch(&ids, &deployment.key).unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
            known.take(&answer);
        }
        let stored = stored_ids(server.addr, &deployment.key);
        assert_eq!(
            stored.len(),
            known.acknowledged.len(),
            "exactly the acknowledged events are stored"
        );
        assert!(known.acknowledged.keys().all(|id| stored.contains(id)));
        assert_eq!(check_counts(&*deployment.database.store()), stored.len() as u64);
        assert!(
            known.acknowledged.values().all(|accepted| *accepted <= 1),
            "no id was accepted twice"
        );
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

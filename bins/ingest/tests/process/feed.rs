//! A consumer of the feed: off for a while, under load, and over killed servers. It gets every event
//! once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use crate::client::{Client, Response, stored_ids};
use crate::server::Deployment;

/// Number of clients that write.
const WRITERS: usize = 8;

/// Reads pages, and keeps the cursor only with the events of its page.
#[derive(Default)]
struct Consumer {
    /// How often each event came.
    seen: HashMap<String, usize>,
    after: String,
    pages: usize,
}

impl Consumer {
    /// Reads a page. Returns the number of its events; `None` if the server is gone.
    fn read_page(&mut self, client: &mut Client, key: &str) -> Option<usize> {
        // Pages of any size end within groups.
        let limit = [1, 7, 100, 1000][self.pages % 4];
        let path = format!("/v1/feed?limit={limit}&after={}", self.after);
        let Response { status: 200, json, .. } = client.get(&path, key).ok()? else { return None };
        self.pages += 1;
        let events = json["events"].as_array().unwrap();
        for event in events {
            *self.seen.entry(event["event_id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        self.after = json["next"].as_str().unwrap().to_owned();
        Some(events.len())
    }

    /// Reads until nothing follows.
    fn catch_up(&mut self, addr: SocketAddr, key: &str) {
        let mut client = Client::connect(addr).unwrap();
        while self.read_page(&mut client, key).unwrap() > 0 {}
    }

    /// Reads until the server is gone, or the writers are.
    fn follow(&mut self, addr: SocketAddr, key: &str, is_over: &AtomicBool) {
        let Ok(mut client) = Client::connect(addr) else { return };
        while !is_over.load(Ordering::SeqCst) && self.read_page(&mut client, key).is_some() {}
    }
}

fn check(deployment: &Deployment) {
    let (mut sender, mut consumer) = (deployment.sender(), Consumer::default());
    for round in 0..3 {
        let server = deployment.start();
        let (addr, is_over, (progress, answered)) =
            (server.addr, AtomicBool::new(false), channel());
        std::thread::scope(|scope| {
            let mut writers = Vec::new();
            for writer in 0..WRITERS {
                let (name, progress) = (format!("r{round}-w{writer}"), progress.clone());
                writers
                    .push(scope.spawn(move || {
                        deployment.sender().send_until_gone(addr, &name, &progress)
                    }));
            }
            // The consumer is off, and then catches up while the others write.
            answered.iter().take(40).for_each(drop);
            let reading = scope.spawn(|| consumer.follow(addr, &deployment.key, &is_over));
            answered.iter().take(40).for_each(drop);
            server.kill();
            for writer in writers {
                sender.history.merge(writer.join().unwrap());
            }
            is_over.store(true, Ordering::SeqCst);
            reading.join().unwrap();
        });
    }
    let server = deployment.start();
    sender.send_again(&mut Client::connect(server.addr).unwrap());
    consumer.catch_up(server.addr, &deployment.key);
    let report = deployment.check(&sender.history);
    let stored = stored_ids(server.addr, &deployment.key);
    assert!(stored.len() > 3 * 80 * 50 / 2 && report.rows == stored.len() as u64);
    let missing = stored.iter().filter(|id| !consumer.seen.contains_key(*id)).count();
    let repeated = consumer.seen.values().filter(|times| **times > 1).count();
    let others = consumer.seen.keys().filter(|id| !stored.contains(*id)).count();
    assert_eq!(
        (missing, repeated, others),
        (0, 0, 0),
        "of {} in {} pages",
        stored.len(),
        consumer.pages
    );
}

#[test]
fn consumer_gets_each_event_once_on_sqlite() {
    check(&Deployment::sqlite());
}

#[test]
fn consumer_gets_each_event_once_on_postgres() {
    check(&Deployment::postgres());
}

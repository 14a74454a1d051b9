//! Clients of other services over a real server with two writer threads.

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Deployment, Server};

/// Distinct ids of a batch. It has each of them twice.
const IDS: usize = 500;

/// Batches of a client: enough that a race between the threads shows.
const BATCHES: usize = 25;

/// Returns a batch with each id twice, and the position of each message in it.
fn batch(name: &str) -> String {
    let messages: Vec<Value> = (0..2 * IDS)
        .map(|index| {
            json!({"type": "track", "event": "e", "userId": "u",
                "messageId": format!("{name}-{}", index % IDS), "properties": {"index": index}})
        })
        .collect();
    json!({ "batch": messages }).to_string()
}

fn send_batches(server: &Server, key: &str, name: &str) {
    let mut client = Client::connect(server.addr).unwrap();
    for number in 0..BATCHES {
        let name = format!("{name}{number}");
        let response = client.post("/v1/batch", key, &batch(&name)).unwrap();
        assert_eq!(response.status, 200, "{}", response.body);
        for (index, result) in response.json["results"].as_array().unwrap().iter().enumerate() {
            let expected = if index < IDS { "accepted" } else { "duplicate" };
            assert_eq!(result["status"], expected, "{name}: {index}");
        }
        let path = format!("/v1/events/{name}-{}", IDS - 1);
        let stored = client.get(&path, key).unwrap();
        assert_eq!(stored.json["properties"]["index"], IDS - 1, "{name}");
    }
}

fn check_first_of_equal_ids(deployment: &Deployment) {
    let server = deployment.start();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let server = &server;
            scope.spawn(move || send_batches(server, &deployment.key, name));
        }
    });
    let stored = deployment.database.store().count_events(deployment.owner).unwrap();
    assert_eq!(stored, (4 * BATCHES * IDS) as u64);
}

#[test]
fn first_of_equal_ids_in_a_large_batch_is_stored_on_sqlite() {
    check_first_of_equal_ids(&Deployment::sqlite());
}

#[test]
fn first_of_equal_ids_in_a_large_batch_is_stored_on_postgres() {
    check_first_of_equal_ids(&Deployment::postgres());
}

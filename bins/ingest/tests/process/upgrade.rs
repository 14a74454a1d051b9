//! A newer release has migrated the database under a server: the server goes on where the schema lets it, restarts included, and is out of
//! the way where it does not.

use std::time::{Duration, Instant};

use mercurio_storage::testing::TestDatabase;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{House, Server, command};

const PATIENCE: Duration = Duration::from_secs(60);
const SHARED: &str = "the database was migrated by a newer release, and this one can go on with it";
const NOT_OURS: &str = "the schema of the database is not this program's";

fn store(client: &mut Client, id: &str, key: &str) -> Value {
    let answer = client.batch(&[id.to_owned()], key).unwrap();
    assert_eq!(answer.status, 200, "{:?}", answer.json);
    answer.json["results"][0]["status"].clone()
}

/// Asks for readiness until the server tells of what it found. The answers on the way.
fn ready_until(server: &Server, client: &mut Client, message: &str) -> Vec<u16> {
    let deadline = Instant::now() + PATIENCE;
    let mut answers = Vec::new();
    while server.lines(message).is_empty() {
        answers.push(client.get("/health/ready", "").unwrap().status);
        assert!(Instant::now() < deadline, "no line {message:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    answers.push(client.get("/health/ready", "").unwrap().status);
    answers
}

fn check(house: &House) {
    let server = house.start();
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(store(&mut client, "before", &house.key), "accepted");

    house.database.apply_newer_migration();
    let answers = ready_until(&server, &mut client, SHARED);
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    let line = server.line(SHARED);
    assert_eq!(
        (&line["level"], &line["migrations"]),
        (&json!("warning"), &json!([TestDatabase::NEWER]))
    );
    assert_eq!(store(&mut client, "after", &house.key), "accepted");
    assert_eq!(store(&mut client, "before", &house.key), "duplicate");
    assert_eq!(server.lines(SHARED).len(), 1, "it is told once");
    server.signal("INT");
    assert_eq!(server.wait().0.code(), Some(0));

    let server = house.start();
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(server.line(SHARED)["migrations"], json!([TestDatabase::NEWER]));
    assert_eq!(client.get("/health/ready", "").unwrap().status, 200);
    assert_eq!(store(&mut client, "again", &house.key), "accepted");
    let page = client.get("/v1/events", &house.key).unwrap();
    assert_eq!(page.json["events"].as_array().map(Vec::len), Some(3), "{:?}", page.json);

    house.database.require_newer_program();
    let answers = ready_until(&server, &mut client, NOT_OURS);
    assert_eq!(answers.last(), Some(&503), "{answers:?}");
    assert_eq!(server.line(NOT_OURS)["migrations"], json!([TestDatabase::NEWER]));
    server.signal("INT");
    assert_eq!(server.wait().0.code(), Some(0));

    let output = command(&house.database.url_text()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{stderr}");
    assert!(stderr.contains(TestDatabase::NEWER) && stderr.contains("newer release"), "{stderr}");
}

#[test]
fn over_postgres_a_newer_schema_takes_no_server_away_until_it_says_so() {
    check(&House::postgres());
}

#[test]
fn over_sqlite_a_newer_schema_takes_no_server_away_until_it_says_so() {
    check(&House::sqlite());
}

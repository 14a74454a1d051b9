//! Schema changes under a running server: it works on with a compatible newer schema, also after a
//! restart, and becomes not ready with an incompatible one.

use mercurio_storage::testing::{TestDatabase, wait_until};
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Deployment, Server, command};

const ACCEPTED: &str = "newer schema accepted";
const INCOMPATIBLE: &str = "schema incompatible";

fn store(client: &mut Client, id: &str, key: &str) -> Value {
    let answer = client.batch(&[id.to_owned()], key).unwrap();
    assert_eq!(answer.status, 200, "{:?}", answer.json);
    answer.json["results"][0]["status"].clone()
}

/// Requests readiness until the server logs `message`. Returns the statuses.
fn ready_until(server: &Server, client: &mut Client, message: &str) -> Vec<u16> {
    let mut answers = Vec::new();
    wait_until(message, || {
        answers.push(client.get("/health/ready", "").unwrap().status);
        !server.lines(message).is_empty()
    });
    answers.push(client.get("/health/ready", "").unwrap().status);
    answers
}

fn check(deployment: &Deployment) {
    let server = deployment.start();
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(store(&mut client, "before", &deployment.key), "accepted");

    deployment.database.apply_newer_migration();
    let answers = ready_until(&server, &mut client, ACCEPTED);
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    let line = server.line(ACCEPTED);
    assert_eq!(
        (&line["level"], &line["migrations"]),
        (&json!("warning"), &json!([TestDatabase::NEWER]))
    );
    assert_eq!(store(&mut client, "after", &deployment.key), "accepted");
    assert_eq!(store(&mut client, "before", &deployment.key), "duplicate");
    assert_eq!(server.lines(ACCEPTED).len(), 1, "it is logged once");
    server.signal("INT");
    assert_eq!(server.wait().0.code(), Some(0));

    let server = deployment.start();
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(server.line(ACCEPTED)["migrations"], json!([TestDatabase::NEWER]));
    assert_eq!(client.get("/health/ready", "").unwrap().status, 200);
    assert_eq!(store(&mut client, "again", &deployment.key), "accepted");
    let page = client.get("/v1/events", &deployment.key).unwrap();
    assert_eq!(page.json["events"].as_array().map(Vec::len), Some(3), "{:?}", page.json);

    deployment.database.require_newer_program();
    let answers = ready_until(&server, &mut client, INCOMPATIBLE);
    assert_eq!(answers.last(), Some(&503), "{answers:?}");
    assert_eq!(server.line(INCOMPATIBLE)["migrations"], json!([TestDatabase::NEWER]));
    server.signal("INT");
    assert_eq!(server.wait().0.code(), Some(0));

    let output = command(&deployment.database.url_text()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    // `EX_CONFIG`: a new server does not start on this schema.
    assert_eq!(output.status.code(), Some(78), "{stderr}");
    assert!(stderr.contains(TestDatabase::NEWER) && stderr.contains("newer release"), "{stderr}");
}

#[test]
fn compatible_newer_schema_keeps_a_server_ready_on_postgres() {
    check(&Deployment::postgres());
}

#[test]
fn compatible_newer_schema_keeps_a_server_ready_on_sqlite() {
    check(&Deployment::sqlite());
}

fn check_schema(database: &TestDatabase) {
    let server = Server::start(&database.url_text());
    let mut client = Client::connect(server.addr).unwrap();
    let mut is_ready = || client.get("/health/ready", "").unwrap().status == 200;
    wait_until("the server is ready", &mut is_ready);
    // As `mercurio-admin migrate down` does under a running server.
    database.store().revert().unwrap();
    wait_until("the server is not ready", || !is_ready());
    assert_eq!(server.line(INCOMPATIBLE)["level"], "error");
    database.store().migrate().unwrap();
    wait_until("the server is ready again", &mut is_ready);
    server.line("schema compatible again");
}

#[test]
fn reverted_schema_makes_a_server_not_ready_until_it_is_back() {
    check_schema(&Deployment::sqlite().database);
    check_schema(&Deployment::postgres().database);
}

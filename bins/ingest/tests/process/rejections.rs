//! Rejected events of a real server: readable afterwards on both databases, bounded in a flood, and
//! of no influence on responses.

use std::time::Instant;

use mercurio_api::testing::{RejectedBody, rejected_bodies};
use mercurio_domain::testing::{at, provisioning};
use mercurio_storage::testing::wait_for;
use serde_json::Value;

use crate::client::Client;
use crate::outage::{bring_back, take_away};
use crate::server::{Deployment, Server, command};

/// Waits until the summary has this number of rejected events, and returns it.
#[track_caller]
fn summary(client: &mut Client, key: &str, rejected: u64) -> Value {
    wait_for("the rejections are counted", || {
        let summary = client.get("/v1/rejections/summary?limit=1000", key).unwrap();
        let found = summary.json["rejected"].as_u64();
        if found == Some(rejected) { Ok(summary.json) } else { Err(summary.body) }
    })
}

fn rejections(client: &mut Client, key: &str, query: &str) -> Vec<Value> {
    let page = client.get(&format!("/v1/rejections?{query}"), key).unwrap();
    page.json["rejections"].as_array().unwrap_or_else(|| panic!("{}", page.body)).clone()
}

fn post_as(client: &mut Client, key: &str, body: &RejectedBody) -> u16 {
    let RejectedBody { path, content_type, body, .. } = body;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\nuser-agent: test/1\r\n\
         content-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(request.as_bytes()).unwrap().status
}

fn check_readable(deployment: &Deployment) {
    let (server, key) = (deployment.start(), &deployment.key);
    let mut client = Client::connect(server.addr).unwrap();
    let bodies = rejected_bodies();
    for body in &bodies {
        let status = post_as(&mut client, key, body);
        assert!(status < 500, "{}: {status}", body.protocol);
    }
    let secret = key.rsplit('_').next().unwrap();
    let odd = format!(
        r#"{{"batch":[{{"type":"track","userId":"u","writeKey":"{key}","event":"a\u0000\u0007b\u202e","x":"\ud800{key}"}}]}}"#
    );
    client.post("/v1/batch", key, &odd).unwrap();
    let large = format!(
        r#"{{"event_name":"large","user_id":"u","properties":{{"p":"{}"}}}}"#,
        "é".repeat(100_000)
    );
    client.post("/v1/events/track", key, &large).unwrap();
    client.post("/v1/events/batch", key, "{").unwrap();
    let total = bodies.len() as u64 + 2;
    let summary = summary(&mut client, key, total);
    assert_eq!(summary["requests"][0]["code"], "malformed_json");
    for RejectedBody { protocol, code, pointer, .. } in &bodies {
        let found = rejections(&mut client, key, &format!("code={code}&limit=1000"));
        let found = found.iter().find(|rejection| rejection["protocol"] == *protocol);
        let rejection = found.unwrap_or_else(|| panic!("{protocol}"));
        assert_eq!(rejection["user_agent"], "test/1");
        let reported = rejection["errors"][0]["pointer"].as_str().unwrap();
        assert!(reported.ends_with(&format!("/{pointer}")), "{protocol}: {reported}");
        let is_group =
            |group: &&Value| group["code"] == *code && group["pointer"] == format!("/{pointer}");
        let group = summary["groups"].as_array().unwrap().iter().find(is_group);
        assert!(group.is_some_and(|group| group["example"]["id"].is_string()), "{protocol}");
    }
    let odd = &rejections(&mut client, key, "code=control_character")[0];
    let event = odd["event"].as_str().unwrap();
    assert!(event.contains(r"a\u0000\u0007b\u202e") && event.contains(r"\ud800mk_"), "{event}");
    assert!(!odd.to_string().contains(secret), "{event}");
    let large = &rejections(&mut client, key, "event_name=large")[0];
    assert_eq!(large["is_cut"], true);
    // The cut is between two characters.
    assert_eq!(large["event"].as_str().unwrap().len(), 64 * 1024 - 1);
    let lines = server.matching(|line| line.to_string().contains("uuuuuuuu"));
    assert_eq!(lines, [Value::Null; 0], "no line has an event");
}

#[test]
fn rejection_of_every_protocol_is_readable_on_sqlite() {
    check_readable(&Deployment::sqlite());
}

#[test]
fn rejection_of_every_protocol_is_readable_on_postgres() {
    check_readable(&Deployment::postgres());
}

fn reject(client: &mut Client, key: &str, name: &str) {
    let event = format!(r#"{{"event_name":"{name}","user_id":""}}"#);
    let response = client.post("/v1/events/track", key, &event).unwrap();
    assert_eq!(response.status, 422, "{response:?}");
}

fn check_ends(deployment: &Deployment) {
    let key = &deployment.key;
    // Keeps each of the events below.
    let mut command = command(&deployment.database.url_text());
    let server = Server::with(command.env("MERCURIO_REJECTIONS_PER_SECOND", "100"));
    let mut client = Client::connect(server.addr).unwrap();
    for index in 0..50 {
        reject(&mut client, key, &format!("before{index}"));
    }
    // Nothing waits for the thread: an orderly end writes what is left.
    server.signal("TERM");
    let (status, _, stderr) = server.wait();
    assert!(status.success(), "{stderr}");

    let server = deployment.start();
    let mut client = Client::connect(server.addr).unwrap();
    summary(&mut client, key, 50);
    reject(&mut client, key, "written");
    summary(&mut client, key, 51);
    reject(&mut client, key, "perhaps");
    let stored = client.batch(&["a".to_owned()], key).unwrap();
    assert_eq!(stored.status, 200);
    server.kill();

    let server = deployment.start();
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(client.get("/v1/events/a", key).unwrap().status, 200);
    let kept = rejections(&mut client, key, "limit=1000");
    let summary = client.get("/v1/rejections/summary", key).unwrap().json;
    let perhaps = kept.iter().filter(|kept| kept["event_name"] == "perhaps").count();
    // The event and its count are in one transaction.
    assert_eq!(summary["rejected"].as_u64(), Some(51 + perhaps as u64));
    assert_eq!(kept.len(), 51 + perhaps);
}

#[test]
fn end_loses_only_what_was_not_written_on_sqlite() {
    check_ends(&Deployment::sqlite());
}

#[test]
fn end_loses_only_what_was_not_written_on_postgres() {
    check_ends(&Deployment::postgres());
}

#[test]
fn outage_changes_no_verdict_and_loses_no_count() {
    let deployment = Deployment::postgres();
    let key = &deployment.key;
    let mut command = command(&deployment.database.url_text());
    // The key stays known without the database.
    let server = Server::with(command.env("MERCURIO_KEY_CACHE_SECONDS", "3600"));
    let mut client = Client::connect(server.addr).unwrap();
    reject(&mut client, key, "before");
    summary(&mut client, key, 1);
    take_away(&deployment);
    for index in 0..20 {
        reject(&mut client, key, &format!("during{index}"));
    }
    // Until a write has failed, so that the counts come from memory.
    server.line("rejections not stored");
    reject(&mut client, key, "late");
    bring_back(&deployment);
    let summary = summary(&mut client, key, 22);
    let groups = summary["groups"].as_array().unwrap();
    let late = groups.iter().find(|group| group["event_name"] == "late").unwrap();
    assert!(late["example"].is_null() && groups.len() == 22, "{late}");
}

fn check_flood(deployment: &Deployment) {
    const REQUESTS: usize = 200;
    let (request, other) = provisioning("other", 2, at("2026-11-22T10:00:00Z"));
    deployment.database.store().provision(&request).unwrap();
    let mut command = command(&deployment.database.url_text());
    let server = Server::with(command.env("MERCURIO_REJECTIONS_PER_SECOND", "10"));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (key, addr) = (&deployment.key, server.addr);
            scope.spawn(move || {
                let mut connection = Client::connect(addr).unwrap();
                for request in 0..REQUESTS / 4 {
                    // Names that are never the same.
                    let name = format!(r#"{{"event_name":"{client}-{request}-$","user_id":""}}"#);
                    let events: Vec<_> =
                        (0..50).map(|event| name.replace('$', &event.to_string())).collect();
                    let body = format!(r#"{{"events":[{}]}}"#, events.join(","));
                    let response = connection.post("/v1/events/batch", key, &body).unwrap();
                    assert_eq!(response.status, 422);
                }
            });
        }
    });
    let mut client = Client::connect(server.addr).unwrap();
    reject(&mut client, other.expose(), "mine");
    let others = summary(&mut client, other.expose(), 1);
    assert!(others["groups"][0]["example"]["id"].is_string(), "{others}");
    let summary = summary(&mut client, &deployment.key, 50 * REQUESTS as u64);
    // A second more for the full bucket, and one for the rest of a second.
    let most = 10 * (start.elapsed().as_secs() as usize + 2);
    let kept = rejections(&mut client, &deployment.key, "limit=1000").len();
    assert!((10..=most).contains(&kept), "{kept} of {most}");
    // The bound of a tenant's groups, and one for all others.
    let groups = summary["groups"].as_array().unwrap();
    let counted: u64 = groups.iter().filter_map(|group| group["count"].as_u64()).sum();
    assert_eq!(groups.len(), 1_000);
    assert_eq!((&groups[0]["event_name"], &groups[0]["pointer"]), (&"*".into(), &"*".into()));
    assert!((50 * REQUESTS as u64 - 1..=50 * REQUESTS as u64).contains(&counted), "{counted}");
}

#[test]
fn flood_is_bounded_on_sqlite() {
    check_flood(&Deployment::sqlite());
}

#[test]
fn flood_is_bounded_on_postgres() {
    check_flood(&Deployment::postgres());
}

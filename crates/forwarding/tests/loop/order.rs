//! Delivery without faults: every event, in order, signed.

use std::collections::HashSet;
use std::thread;

use mercurio_domain::store::{EventWriter, Feed};
use mercurio_domain::testing::{at, submission};
use mercurio_forwarding::testing::{ReceivedRequest, Receiver};
use mercurio_forwarding::{BatchFormat, ForwardStart, SigningSecrets};
use serde_json::Value;

use crate::test_workspace::{SECRET, TestWorkspace};

fn ids_of(requests: &[ReceivedRequest]) -> Vec<String> {
    requests.iter().flat_map(ReceivedRequest::message_ids).collect()
}

#[test]
fn events_arrive_in_the_order_of_the_feed() {
    let mut workspace = TestWorkspace::new();
    (workspace.options.once, workspace.options.batch_events) = (true, 10);
    let ids: Vec<_> = (0..95).map(|number| format!("e{number}")).collect();
    for id in &ids {
        workspace.append(&[id]);
    }
    let receiver = Receiver::with_status(204);
    let totals = workspace.run(&receiver).expect("delivered");
    assert_eq!((totals.events, totals.batches, totals.failures), (95, 10, 0));
    let tenant = workspace.owner.tenant_id;
    let expected: Vec<_> = ids.iter().map(|id| format!("{tenant}:{id}")).collect();
    assert_eq!(ids_of(&receiver.requests()), expected);
    // The cursor is behind them: another run has nothing to do.
    assert_eq!(workspace.run(&receiver).expect("delivered").batches, 0);
}

#[test]
fn request_is_signed_and_has_the_headers_of_the_standard() {
    let mut workspace = TestWorkspace::new();
    workspace.options.once = true;
    workspace.append(&["a"]);
    let receiver = Receiver::with_status(200);
    workspace.run(&receiver).expect("delivered");
    let request = &receiver.requests()[0];
    assert_eq!(request.line, "POST /hook?key=hunter2 HTTP/1.1");
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.header("user-agent").starts_with("Mercurio/"));
    assert_eq!(request.header("webhook-timestamp"), "1795946400");
    let secrets = SigningSecrets::parse(SECRET).unwrap();
    let signature = secrets.sign(request.header("webhook-id"), 1_795_946_400, &request.body);
    assert_eq!(request.header("webhook-signature"), signature);
}

#[test]
fn cloud_events_are_a_batch() {
    let mut workspace = TestWorkspace::new();
    (workspace.options.once, workspace.options.format) = (true, BatchFormat::CloudEvents);
    workspace.append(&["a", "b"]);
    let receiver = Receiver::with_status(200);
    workspace.run(&receiver).expect("delivered");
    let request = &receiver.requests()[0];
    assert_eq!(request.header("content-type"), "application/cloudevents-batch+json");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body.as_array().map(Vec::len), Some(2));
}

#[test]
fn start_now_skips_what_is_there_and_nothing_later() {
    let mut workspace = TestWorkspace::new();
    (workspace.options.once, workspace.options.start) = (true, ForwardStart::Now);
    workspace.append(&["old"]);
    let receiver = Receiver::with_status(200);
    assert_eq!(workspace.run(&receiver).expect("nothing to do").events, 0);
    // The start is stored: an event before the next run counts.
    assert!(workspace.store.consumer_cursor(workspace.owner, "test").unwrap().is_some());
    workspace.append(&["new"]);
    assert_eq!(workspace.run(&receiver).expect("delivered").events, 1);
    assert_eq!(ids_of(&receiver.requests()), [format!("{}:new", workspace.owner.tenant_id)]);
}

#[test]
fn concurrent_writers_lose_no_event() {
    const WRITERS: usize = 8;
    const GROUPS: usize = 25;
    const GROUP: usize = 50;
    let workspace = TestWorkspace::new().stopping_after((WRITERS * GROUPS * GROUP) as u64);
    let receiver = Receiver::with_status(200);
    let totals = thread::scope(|scope| {
        let forwarder = workspace.spawn(scope, &receiver);
        for writer in 0..WRITERS {
            let workspace = &workspace;
            scope.spawn(move || {
                for group in 0..GROUPS {
                    let ids: Vec<_> =
                        (0..GROUP).map(|event| format!("{writer}-{group}-{event}")).collect();
                    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
                    let submission = submission(workspace.owner, at("2026-11-29T10:00:00Z"), &ids);
                    workspace.store.append(&[submission]).expect("stored");
                }
            });
        }
        forwarder.join().unwrap().expect("delivered")
    });
    let ids = ids_of(&receiver.requests());
    assert_eq!(totals.events, 10_000);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 10_000);
    assert_eq!(ids.len(), 10_000);
}

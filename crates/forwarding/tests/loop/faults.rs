//! Receivers that fail, hang, lie and redirect.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mercurio_forwarding::testing::{Receiver, Reply};
use mercurio_forwarding::{DeliveryError, ForwardError, HttpSender, Target};

use crate::test_workspace::TestWorkspace;

/// Fails the first requests with `reply`, then takes them. Returns the failures as reported.
#[track_caller]
fn failures_of(times: usize, reply: Reply, workspace: &TestWorkspace) -> Vec<String> {
    let receiver = Receiver::start(
        move |number, _| {
            if number < times { reply.clone() } else { Reply::status(200) }
        },
    );
    let totals = workspace.run(&receiver).expect("delivered at last");
    assert_eq!((totals.events, totals.batches, totals.failures as usize), (2, 1, times));
    let requests = receiver.requests();
    assert_eq!(requests.len(), times + 1);
    // The same batch each time.
    let ids: HashSet<_> = requests.iter().map(|request| request.header("webhook-id")).collect();
    let bodies: HashSet<_> = requests.iter().map(|request| &request.body).collect();
    assert_eq!((ids.len(), bodies.len()), (1, 1));
    workspace.failures()
}

fn with_two_events() -> TestWorkspace {
    let workspace = TestWorkspace::new().stopping_after(2);
    workspace.append(&["a", "b"]);
    workspace
}

#[test]
fn error_status_is_retried_until_it_ends() {
    for (status, expected) in [
        (500, "1: status 500"),
        (503, "1: status 503"),
        (408, "1: status 408"),
        (429, "1: status 429"),
        (400, "1: the receiver refuses the batch with status 400"),
        (404, "1: the receiver refuses the batch with status 404: check the path of the URL"),
        (413, "1: the receiver refuses the batch with status 413: send fewer events in a request"),
    ] {
        let failures = failures_of(30, Reply::status(status), &with_two_events());
        assert_eq!((failures.len(), &*failures[0]), (30, expected));
        assert!(failures[29].starts_with("30: "), "{}", failures[29]);
    }
}

#[test]
fn redirect_is_not_followed() {
    let other = Receiver::with_status(200);
    for status in [301, 302, 303, 307, 308] {
        let location =
            format!("location: {}/x?key=hunter2\r\ncontent-length: 0\r\n\r\n", other.url());
        let reply = Reply::Answer(status, location.leak());
        let failures = failures_of(1, reply, &with_two_events());
        let expected = format!("1: status {status}, a redirect to 127.0.0.1: ");
        assert!(failures[0].starts_with(&expected), "{failures:?}");
    }
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn receiver_that_hangs_runs_into_the_time_limit() {
    for reply in [Reply::Hang, Reply::Trickle] {
        let mut workspace = with_two_events();
        workspace.timeout = Duration::from_millis(200);
        let failures = failures_of(2, reply, &workspace);
        assert_eq!(failures[0], "1: no complete answer within 0.2 s");
    }
}

#[test]
fn answer_after_the_time_limit_means_the_same_batch_again() {
    let mut workspace = with_two_events();
    workspace.timeout = Duration::from_millis(200);
    // It has processed the batch, and its answer never completes.
    let late = Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
    assert_eq!(failures_of(1, late, &workspace).len(), 1);
}

#[test]
fn cut_off_or_malformed_answer_is_none() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
        b"hunter2 no http\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ] {
        let failures = failures_of(1, Reply::Raw(bytes), &with_two_events());
        assert!(failures[0].starts_with("1: no complete answer: "), "{bytes:?} {failures:?}");
    }
    assert_eq!(failures_of(3, Reply::Close, &with_two_events()).len(), 3);
}

#[test]
fn unreachable_receiver_is_retried() {
    let mut workspace = with_two_events();
    workspace.options.give_up_after = Some(Duration::from_millis(100));
    let target = Target::parse(&Receiver::closed_url()).unwrap();
    let sender = HttpSender::new(target, None, workspace.timeout).unwrap();
    let error = workspace.run_with(&workspace.store, &sender, "test").expect_err("an end");
    assert!(matches!(error, ForwardError::GaveUp { failures: 2.., .. }), "{error}");
    let failures = workspace.failures();
    assert!(failures[0].contains("Connection refused"), "{failures:?}");
}

#[test]
fn endless_answer_is_not_read_to_its_end() {
    let workspace = with_two_events();
    let receiver = Receiver::start(|_, _| Reply::Endless);
    // Its status counts.
    assert_eq!(workspace.run(&receiver).expect("delivered").events, 2);
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn huge_headers_are_refused() {
    let header = format!("x: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(100_000));
    let failures = failures_of(1, Reply::Answer(200, header.leak()), &with_two_events());
    assert_eq!(failures[0], "1: no complete answer: its headers are too large");
}

#[test]
fn gone_ends_the_forwarder() {
    let workspace = with_two_events();
    let receiver = Receiver::with_status(410);
    let error = workspace.run(&receiver).expect_err("an end");
    assert!(matches!(error, ForwardError::Ended(DeliveryError::Gone)), "{error}");
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn retry_after_is_awaited() {
    let mut workspace = with_two_events();
    workspace.options.give_up_after = Some(Duration::from_secs(100));
    let reply = Reply::Answer(503, "retry-after: 120\r\ncontent-length: 0\r\n\r\n");
    let receiver = Receiver::start(move |_, _| reply.clone());
    // The pause alone is longer than the patience.
    let error = workspace.run(&receiver).expect_err("an end");
    assert!(matches!(error, ForwardError::GaveUp { failures: 1, .. }), "{error}");
    let workspace = with_two_events();
    let reply = Reply::Answer(429, "retry-after: 1\r\ncontent-length: 0\r\n\r\n");
    let started = std::time::Instant::now();
    failures_of(1, reply, &workspace);
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn once_gives_up_at_the_first_failure() {
    let mut workspace = with_two_events();
    workspace.options.once = true;
    let error = workspace.run(&Receiver::with_status(500)).expect_err("an end");
    let ForwardError::GaveUp { failures, source } = &error else { panic!("{error}") };
    assert_eq!((*failures, source.to_string()), (1, "status 500".to_owned()));
    // The next run sends all.
    assert_eq!(workspace.run(&Receiver::with_status(200)).expect("delivered").events, 2);
}

#[test]
fn stop_interrupts_a_pause() {
    let mut workspace = with_two_events();
    let reply = Reply::Answer(503, "retry-after: 3000\r\ncontent-length: 0\r\n\r\n");
    workspace.options.give_up_after = None;
    let receiver = Receiver::start(move |_, _| reply.clone());
    let totals = thread::scope(|scope| {
        let forwarder = workspace.spawn(scope, &receiver);
        receiver.wait(|requests| requests.len() == 1);
        workspace.stop();
        forwarder.join().unwrap().expect("a stop is no error")
    });
    assert_eq!(totals.events, 0);
}

#[test]
fn event_erased_between_attempts_is_not_sent_again() {
    let workspace = Arc::new(TestWorkspace::new().stopping_after(1));
    workspace.append(&["a", "b"]);
    let of_receiver = Arc::clone(&workspace);
    let receiver = Receiver::start(move |number, _| {
        if number > 0 {
            return Reply::status(200);
        }
        // While the first attempt is in flight.
        of_receiver.erase_all_people();
        of_receiver.append(&["c"]);
        Reply::status(500)
    });
    assert_eq!(workspace.run(&receiver).expect("delivered").events, 1);
    let tenant = workspace.owner.tenant_id;
    let sent: Vec<_> = receiver.requests().iter().map(|request| request.message_ids()).collect();
    let id = |id: &str| format!("{tenant}:{id}");
    assert_eq!(sent, [vec![id("a"), id("b")], vec![id("c")]]);
}

#[test]
fn batch_erased_whole_needs_no_more_attempts() {
    let mut workspace = TestWorkspace::new();
    workspace.options.give_up_after = Some(Duration::from_secs(10));
    workspace.options.once = true;
    workspace.append(&["a"]);
    let workspace = Arc::new(workspace);
    let of_receiver = Arc::clone(&workspace);
    let receiver = Receiver::start(move |_, _| {
        of_receiver.erase_all_people();
        Reply::status(500)
    });
    let totals = workspace.run(&receiver).expect("nothing left");
    assert_eq!((totals.events, totals.failures), (0, 1));
    assert_eq!(receiver.requests().len(), 1);
}

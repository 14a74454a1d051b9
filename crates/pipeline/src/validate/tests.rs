//! Sifting: each event on its own, verdicts in the order of the request.

use mercurio_domain::limits::Limits;
use mercurio_domain::testing::{CountingIds, at};

use super::*;
use crate::parse;

fn sifted(body: &str, ids: IdSource<'_>) -> Sifted {
    let envelope = parse::batch(body.as_bytes(), &Limits::default()).unwrap();
    let mut reception = Reception::at(at("2026-11-22T10:00:00Z"));
    reception.sent_at = envelope.sent_at;
    sift(envelope.items, &reception, ids)
}

fn faults(verdict: &Verdict) -> Vec<(&str, FaultCode)> {
    match verdict {
        Verdict::Rejected(rejection) => {
            rejection.faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect()
        }
        Verdict::Stored(..) => Vec::new(),
    }
}

fn check(event: &str, expected: &[(&str, FaultCode)]) {
    let ids = CountingIds::default();
    let mut sifted = sifted(&format!("{{\"events\":[{event}]}}"), IdSource::Generated(&ids));
    let stored = sifted.take_events().len();
    let verdicts = sifted.verdicts(&vec![Outcome::Accepted; stored]);
    assert_eq!(faults(&verdicts[0]), expected, "{event}");
}

#[test]
fn verdicts_come_back_in_the_order_of_the_request() {
    let ids = CountingIds::default();
    let body = r#"{"events":[
        {"event_id":"a","event_name":"n","user_id":"u"},
        {"event_id":"b","user_id":"u"},
        {"event_name":"n","user_id":"u"},
        7]}"#;
    let mut sifted = sifted(body, IdSource::Generated(&ids));
    assert_eq!(sifted.take_events().len(), 2);
    assert!(!sifted.is_all_rejected());
    let verdicts = sifted.verdicts(&[Outcome::Duplicate, Outcome::Accepted]);
    assert_eq!(verdicts[0], Verdict::Stored(EventId::lookup("a"), Outcome::Duplicate));
    assert!(
        matches!(&verdicts[1], Verdict::Rejected(rejection) if rejection.event_id == Some(EventId::lookup("b")))
    );
    let made = EventId::lookup("00000000-0000-0000-0000-000000000001");
    assert_eq!(verdicts[2], Verdict::Stored(made, Outcome::Accepted));
    assert_eq!(faults(&verdicts[3]), [("/events/3", FaultCode::WrongType)]);
}

#[test]
fn a_member_that_could_not_be_read_is_told_once() {
    check(r#"{"event_name":5,"user_id":"u"}"#, &[("/events/0/event_name", FaultCode::WrongType)]);
    check(r#"{"event_name":"n","user_id":5}"#, &[("/events/0/user_id", FaultCode::WrongType)]);
    check(r#""event""#, &[("/events/0", FaultCode::WrongType)]);
    check(
        r#"{"event_name":null}"#,
        &[("/events/0", FaultCode::Required), ("/events/0/event_name", FaultCode::Required)],
    );
    check(
        r#"{"event_nam":"n","user_id":"u"}"#,
        &[
            ("/events/0/event_nam", FaultCode::UnknownField),
            ("/events/0/event_name", FaultCode::Required),
        ],
    );
}

#[test]
fn an_event_above_the_limit_of_bytes_is_rejected() {
    let of = |bytes: usize| {
        let frame = r#"{"event_name":"n","user_id":"u","properties":{"p":""}}"#;
        frame.replace(r#""p":"""#, &format!(r#""p":"{}""#, "x".repeat(bytes - frame.len())))
    };
    check(&of(32 * 1024), &[]);
    check(&of(32 * 1024 + 1), &[("/events/0", FaultCode::EventTooLarge)]);
}

#[test]
fn no_more_than_twenty_faults_are_told() {
    let many: Vec<_> = (0..100).map(|index| format!("\"x{index}\":1")).collect();
    let ids = CountingIds::default();
    let verdicts =
        sifted(&format!("{{\"events\":[{{{}}}]}}", many.join(",")), IdSource::Generated(&ids))
            .verdicts(&[]);
    assert_eq!(faults(&verdicts[0]).len(), 20);
}

#[test]
fn an_idempotency_key_gives_the_same_ids_again_and_only_where_there_are_none() {
    let derived = IdSource::Derived { tenant_id: TenantId(1), idempotency_key: "k" };
    let body = r#"{"events":[{"event_name":"n","user_id":"u"},{"event_name":"n","user_id":"u"},{"event_id":"mine","event_name":"n","user_id":"u"}]}"#;
    let ids = |body: &str| -> Vec<String> {
        sifted(body, derived).events.iter().map(|event| event.event_id().to_string()).collect()
    };
    let first = ids(body);
    assert_eq!(first, ids(body));
    assert_ne!(first[0], first[1]);
    assert_eq!(first[2], "mine");
    assert_ne!(first[0], ids(&body.replace("\"u\"", "\"v\""))[0]);
}

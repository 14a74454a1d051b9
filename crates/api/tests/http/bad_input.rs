//! Bad input: each a clear answer, none a loss, none a harm to what stands beside it.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use mercurio_domain::limits::{MAX_BODY_BYTES, MAX_EVENT_BYTES};

use mercurio_api::testing::{Answer, TestApp};

const GOOD: &str = r#"{"event_id":"good-1","event_name":"n","user_id":"u"}"#;
const ALSO_GOOD: &str = r#"{"event_id":"good-2","event_name":"n","user_id":"u"}"#;

/// Sends `event` between two good ones: it alone is rejected, with these errors.
async fn check(event: &str, expected: &[(&str, &str)]) {
    let test_app = TestApp::new();
    let answer = test_app.batch(&format!("{GOOD},{event},{ALSO_GOOD}")).await;
    assert_eq!(answer.statuses(), ["accepted", "rejected", "accepted"], "{event:.200}: {answer:?}");
    assert_eq!(answer.event_errors(1), expected, "{event:.200}");
    assert_eq!(test_app.store.event_count(), 2);
}

/// Sends `event` between two good ones: it is accepted too, and given back with this member.
async fn check_accepted(event: &str, member: &str, expected: &str) {
    let test_app = TestApp::new();
    let answer = test_app.batch(&format!("{GOOD},{event},{ALSO_GOOD}")).await;
    assert_eq!(answer.statuses(), ["accepted"; 3], "{event:.200}: {answer:?}");
    let id = answer.json["results"][1]["event_id"].as_str().unwrap().to_owned();
    let back = test_app.call(test_app.get(&format!("/v1/events/{id}"))).await;
    let body = String::from_utf8(back.body).unwrap();
    assert!(body.contains(&format!("\"{member}\":{expected}")), "{body}");
}

async fn refuse(body: impl Into<Vec<u8>>) -> Answer {
    let test_app = TestApp::new();
    let answer = test_app.call(test_app.post("/v1/events/batch", body)).await;
    assert_eq!(test_app.store.event_count(), 0, "nothing is stored");
    answer
}

fn event_with(member: &str) -> String {
    format!(r#"{{"event_name":"n","user_id":"u",{member}}}"#)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A batch of one good event with white space before its end, to make `bytes` bytes.
fn body_of(bytes: usize) -> Vec<u8> {
    let mut body = format!("{{\"events\":[{GOOD}").into_bytes();
    body.resize(bytes - 2, b' ');
    body.extend_from_slice(b"]}");
    body
}

#[actix_web::test]
async fn a_body_may_have_as_many_bytes_as_the_limit_and_not_one_more() {
    let test_app = TestApp::new();
    assert_eq!(
        test_app.call(test_app.post("/v1/events/batch", body_of(MAX_BODY_BYTES))).await.status,
        200
    );
    let answer = refuse(body_of(MAX_BODY_BYTES + 1)).await;
    answer.is_problem(413, "payload_too_large");
    assert_eq!((&answer.json["limit"], &answer.json["actual"]), (&262_144.into(), &262_145.into()));
}

#[actix_web::test]
async fn compression_does_not_get_a_body_past_the_limit() {
    let test_app = TestApp::new();
    let compressed = |body: &[u8]| {
        test_app.post("/v1/events/batch", gzip(body)).header("content-encoding", "gzip")
    };
    assert_eq!(test_app.call(compressed(&body_of(MAX_BODY_BYTES))).await.status, 200);
    let small = gzip(&body_of(MAX_BODY_BYTES + 1));
    assert!(small.len() < 1024, "{}", small.len());
    let answer = test_app.call(compressed(&body_of(MAX_BODY_BYTES + 1))).await;
    answer.is_problem(413, "payload_too_large");
    let bomb = test_app.call(compressed(&vec![b' '; 200 << 20])).await;
    bomb.is_problem(413, "payload_too_large");
    assert!(bomb.json["actual"].is_null());
}

#[actix_web::test]
async fn a_truncated_gzip_is_told_and_nothing_of_it_is_stored() {
    let test_app = TestApp::new();
    let whole = gzip(&body_of(1000));
    let cut = whole[..whole.len() - 9].to_vec();
    let answer = test_app
        .call(test_app.post("/v1/events/batch", cut).header("content-encoding", "gzip"))
        .await;
    answer.is_problem(400, "malformed_json");
    assert_eq!(test_app.store.event_count(), 0);
}

#[actix_web::test]
async fn a_batch_has_between_one_and_fifty_events() {
    refuse(r#"{"events":[]}"#).await.is_problem(400, "batch_empty");
    let many = vec![r#"{"event_name":"n","user_id":"u"}"#; 51].join(",");
    let answer = refuse(format!("{{\"events\":[{many}]}}")).await;
    answer.is_problem(400, "batch_too_large");
    assert_eq!((&answer.json["limit"], &answer.json["actual"]), (&50.into(), &51.into()));
}

#[actix_web::test]
async fn what_is_not_json_is_told_with_its_place() {
    for (body, line, column) in [
        (&b"not json"[..], 1, 2),
        (b"{\"events\":[]} trailing", 1, 15),
        (b"{\n\"events\":[{\"a\":\xff}]}", 2, 16),
        (b"", 1, 0),
    ] {
        let answer = refuse(body).await;
        answer.is_problem(400, "malformed_json");
        assert_eq!(
            (&answer.json["line"], &answer.json["column"]),
            (&line.into(), &column.into()),
            "{answer:?}"
        );
    }
}

#[actix_web::test]
async fn another_shape_than_a_batch_is_told_with_a_pointer() {
    for (body, pointer, code) in [
        ("[]", "", "wrong_type"),
        ("7", "", "wrong_type"),
        ("{}", "/events", "required"),
        (r#"{"events":{}}"#, "/events", "wrong_type"),
        (r#"{"events":[{}],"batch":1}"#, "/batch", "unknown_field"),
        (r#"{"events":[{}],"sent_at":"yesterday"}"#, "/sent_at", "invalid_timestamp"),
    ] {
        let answer = refuse(body).await;
        answer.is_problem(422, "invalid_event");
        assert_eq!(answer.errors(), [(pointer, code)], "{body}");
    }
}

#[actix_web::test]
async fn a_member_that_stands_twice_or_is_unknown_rejects_its_event() {
    check(&event_with(r#""user_id":"v""#), &[("/events/1/user_id", "duplicate_field")]).await;
    check(&event_with(r#""prperties":{}"#), &[("/events/1/prperties", "unknown_field")]).await;
    check("5", &[("/events/1", "wrong_type")]).await;
}

#[actix_web::test]
async fn what_no_store_can_keep_rejects_its_event() {
    let nul = r"\u0000";
    let lone = r"\ud800";
    check(
        &event_with(&format!(r#""properties":{{"a":"x{nul}"}}"#)),
        &[("/events/1/properties/a", "nul_character")],
    )
    .await;
    check(
        &event_with(&format!(r#""properties":{{"b{nul}":1}}"#)),
        &[("/events/1/properties/b\0", "nul_character")],
    )
    .await;
    check(
        &event_with(&format!(r#""traits":{{"a":["{lone}"]}}"#)),
        &[("/events/1/traits/a/0", "lone_surrogate")],
    )
    .await;
    check(
        &event_with(&format!(r#""context":{{"{lone}":1}}"#)),
        &[("/events/1/context", "lone_surrogate")],
    )
    .await;
    check(
        &event_with(&format!(r#""event_id":"x{nul}""#)),
        &[("/events/1/event_id", "control_character")],
    )
    .await;
    check(
        &event_with(&format!(r#""event_id":"x{lone}""#)),
        &[("/events/1/event_id", "lone_surrogate")],
    )
    .await;
    check(
        &event_with(&format!(r#""anonymous_id":"x{nul}""#)),
        &[("/events/1/anonymous_id", "control_character")],
    )
    .await;
    check(&event_with(&format!(r#""{lone}":1"#)), &[("/events/1", "lone_surrogate")]).await;
    check(
        &event_with(r#""properties":{"n":1e400}"#),
        &[("/events/1/properties/n", "number_out_of_range")],
    )
    .await;
}

#[actix_web::test]
async fn nesting_has_a_limit_and_no_depth_harms_the_process() {
    let nested = |levels: usize| {
        format!(r#""properties":{}1{}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels))
    };
    let deepest = nested(32);
    check_accepted(&event_with(&deepest), "properties", deepest.split_once(':').unwrap().1).await;
    let place = format!("/events/1/properties{}", "/a".repeat(32));
    check(&event_with(&nested(33)), &[(place.as_str(), "too_deep")]).await;
    let arrays = format!(r#""properties":{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let place = format!("/events/1/properties/a{}", "/0".repeat(31));
    check(&event_with(&arrays), &[("/events/1", "event_too_large"), (place.as_str(), "too_deep")])
        .await;
    let unknown = event_with(&arrays.replace("properties", "x"));
    check(&unknown, &[("/events/1", "event_too_large"), ("/events/1/x", "unknown_field")]).await;
}

#[actix_web::test]
async fn an_event_of_33_kib_is_rejected_between_two_good_ones() {
    let large = event_with(&format!(r#""properties":{{"a":"{}"}}"#, "x".repeat(33 * 1024)));
    assert!(large.len() > MAX_EVENT_BYTES);
    check(&large, &[("/events/1", "event_too_large")]).await;
}

#[actix_web::test]
async fn empty_blank_long_and_control_ids_and_names_are_rejected() {
    let long = "x".repeat(101);
    for (text, code) in [
        ("", "too_short"),
        ("  ", "blank"),
        (long.as_str(), "too_long"),
        (r"a\u0007", "control_character"),
    ] {
        check(&event_with(&format!(r#""event_id":"{text}""#)), &[("/events/1/event_id", code)])
            .await;
        let named = format!(r#"{{"event_name":"{text}","user_id":"u"}}"#);
        check(&named, &[("/events/1/event_name", code)]).await;
    }
    check(r#"{"event_name":"n"}"#, &[("/events/1", "required")]).await;
    check(
        &event_with(&format!(r#""session_id":"{}""#, "x".repeat(256))),
        &[("/events/1/session_id", "too_long")],
    )
    .await;
}

#[actix_web::test]
async fn timestamps_that_cannot_be_are_rejected() {
    for (timestamp, code) in [
        ("2026-11-22T10:00:00", "invalid_timestamp"),
        ("2026-11-22", "invalid_timestamp"),
        ("2026-11-22T09:59:60Z", "invalid_timestamp"),
        ("9999-12-31T23:59:59Z", "timestamp_in_future"),
        ("2026-11-22T10:06:00Z", "timestamp_in_future"),
        ("2025-11-22T09:59:59Z", "timestamp_too_old"),
    ] {
        check(
            &event_with(&format!(r#""timestamp":"{timestamp}""#)),
            &[("/events/1/timestamp", code)],
        )
        .await;
    }
    let leap = event_with(r#""timestamp":"2026-06-30T23:59:60Z""#);
    check_accepted(&leap, "timestamp", "\"2026-07-01T00:00:00.000000Z\"").await;
}

#[actix_web::test]
async fn odd_but_right_payloads_come_back_as_sent() {
    let odd = r#"{ "zero":-0, "empty":{}, "nothing":null, "big":1234567890123456789012345678901234567890 }"#;
    check_accepted(&event_with(&format!("\"properties\":{odd}")), "properties", odd).await;
    check_accepted(&event_with(r#""properties":{}"#), "properties", "{}").await;
    check_accepted(&event_with(r#""properties":null,"session_id":null"#), "session_id", "null")
        .await;
}

#[actix_web::test]
async fn headers_of_a_wrong_encoding_are_refused() {
    let test_app = TestApp::new();
    let body = format!("{{\"events\":[{GOOD}]}}");
    let post = || test_app.post("/v1/events/batch", body.clone());
    test_app
        .call(post().header("authorization", b"Bearer \xff\xfe"))
        .await
        .is_problem(401, "unauthorized");
    test_app
        .call(post().header("x-event-schema-version", b"1.0.\xff"))
        .await
        .is_problem(400, "invalid_schema_version");
    test_app.call(post().header("idempotency-key", b"\xff")).await.is_problem(400, "bad_request");
    test_app.call(post().header("idempotency-key", "")).await.is_problem(400, "bad_request");
    test_app
        .call(post().header("idempotency-key", "x".repeat(256)))
        .await
        .is_problem(400, "bad_request");
    assert_eq!(test_app.store.event_count(), 0);
    let answer = test_app
        .call(
            post()
                .header("x-request-id", b"\xff")
                .header("user-agent", b"\xff")
                .header("traceparent", b"\xff"),
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[actix_web::test]
async fn a_header_that_stands_twice_is_refused_where_it_decides_what_is_stored() {
    let test_app = TestApp::new();
    let twice = |name, first: &str, second: &str| {
        test_app.call(
            test_app.post("/v1/events/track", GOOD).header(name, first).header_again(name, second),
        )
    };
    let answer = twice("x-event-schema-version", "1.0.0", "2.0.0").await;
    answer.is_problem(400, "invalid_schema_version");
    assert_eq!(answer.json["actual"], "1.0.0, 2.0.0");
    twice("idempotency-key", "a", "b").await.is_problem(400, "bad_request");
    assert_eq!(test_app.store.event_count(), 0);
}

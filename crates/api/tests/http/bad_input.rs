//! Bad input: a clear error, and no effect on the other events of a batch.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use mercurio_domain::limits::{MAX_BODY_BYTES, MAX_EVENT_BYTES};

use mercurio_api::testing::{ApiRequest, ApiResponse, TestApp};

const GOOD: &str = r#"{"event_id":"good-1","event_name":"n","user_id":"u"}"#;
const ALSO_GOOD: &str = r#"{"event_id":"good-2","event_name":"n","user_id":"u"}"#;

/// Asserts that `event` alone is rejected between two good ones, with these errors.
async fn check(event: &str, expected: &[(&str, &str)]) {
    let test_app = TestApp::new();
    let response = test_app.batch(&format!("{GOOD},{event},{ALSO_GOOD}")).await;
    assert_eq!(
        response.statuses(),
        ["accepted", "rejected", "accepted"],
        "{event:.200}: {response:?}"
    );
    assert_eq!(response.event_errors(1), expected, "{event:.200}");
    assert_eq!(test_app.store.event_count(), 2);
}

/// Asserts that `event` is accepted between two good ones, and read back with this member.
async fn check_accepted(event: &str, member: &str, expected: &str) {
    let test_app = TestApp::new();
    let response = test_app.batch(&format!("{GOOD},{event},{ALSO_GOOD}")).await;
    assert_eq!(response.statuses(), ["accepted"; 3], "{event:.200}: {response:?}");
    let id = response.json["results"][1]["event_id"].as_str().unwrap().to_owned();
    let back = test_app.call(test_app.get(&format!("/v1/events/{id}"))).await;
    let body = String::from_utf8(back.body).unwrap();
    assert!(body.contains(&format!("\"{member}\":{expected}")), "{body}");
}

async fn refuse(body: impl Into<Vec<u8>>) -> ApiResponse {
    let test_app = TestApp::new();
    let response = test_app.call(test_app.post("/v1/events/batch", body)).await;
    assert_eq!(test_app.store.event_count(), 0, "nothing is stored");
    response
}

fn event_with(member: &str) -> String {
    format!(r#"{{"event_name":"n","user_id":"u",{member}}}"#)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns a batch of one good event, padded with white space to `bytes` bytes.
fn body_of(bytes: usize) -> Vec<u8> {
    let mut body = format!("{{\"events\":[{GOOD}").into_bytes();
    body.resize(bytes - 2, b' ');
    body.extend_from_slice(b"]}");
    body
}

#[actix_web::test]
async fn body_one_byte_over_the_limit_is_refused() {
    let test_app = TestApp::new();
    assert_eq!(
        test_app.call(test_app.post("/v1/events/batch", body_of(MAX_BODY_BYTES))).await.status,
        200
    );
    let response = refuse(body_of(MAX_BODY_BYTES + 1)).await;
    response.is_problem(413, "payload_too_large");
    assert_eq!(
        (&response.json["limit"], &response.json["actual"]),
        (&262_144.into(), &262_145.into())
    );
}

fn post_gzip(test_app: &TestApp, compressed: Vec<u8>) -> ApiRequest {
    test_app.post("/v1/events/batch", compressed).header("content-encoding", "gzip")
}

#[actix_web::test]
async fn compressed_body_over_the_limit_is_refused() {
    let test_app = TestApp::new();
    let at_limit = post_gzip(&test_app, gzip(&body_of(MAX_BODY_BYTES)));
    assert_eq!(test_app.call(at_limit).await.status, 200);
    let small = gzip(&body_of(MAX_BODY_BYTES + 1));
    // A body far below the limit on the wire.
    assert!(small.len() < 1024, "{}", small.len());
    test_app.call(post_gzip(&test_app, small)).await.is_problem(413, "payload_too_large");
    // 200 MiB of spaces compress to about 200 KiB, below the limit on the wire.
    let bomb = test_app.call(post_gzip(&test_app, gzip(&vec![b' '; 200 << 20]))).await;
    bomb.is_problem(413, "payload_too_large");
    assert!(bomb.json["actual"].is_null());
}

#[actix_web::test]
async fn broken_gzip_is_a_malformed_encoding() {
    let whole = gzip(&body_of(1000));
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0xff;
    // The first one lacks the trailer of 8 bytes (RFC 1952, 2.3) and one byte of data.
    for broken in
        [whole[..whole.len() - 9].to_vec(), damaged, [&whole[..], b"tail"].concat(), body_of(1000)]
    {
        let test_app = TestApp::new();
        let response = test_app.call(post_gzip(&test_app, broken)).await;
        response.is_problem(400, "malformed_encoding");
        assert!(response.json.get("line").is_none() && response.json.get("column").is_none());
        assert_eq!(test_app.store.event_count(), 0, "nothing is stored");
    }
}

#[actix_web::test]
async fn batch_has_between_one_and_fifty_events() {
    refuse(r#"{"events":[]}"#).await.is_problem(400, "batch_empty");
    let many = vec![r#"{"event_name":"n","user_id":"u"}"#; 51].join(",");
    let response = refuse(format!("{{\"events\":[{many}]}}")).await;
    response.is_problem(400, "batch_too_large");
    assert_eq!((&response.json["limit"], &response.json["actual"]), (&50.into(), &51.into()));
}

#[actix_web::test]
async fn malformed_json_is_reported_with_its_position() {
    for (body, line, column) in [
        (&b"not json"[..], 1, 2),
        (b"{\"events\":[]} trailing", 1, 15),
        (b"{\n\"events\":[{\"a\":\xff}]}", 2, 16),
        (b"", 1, 1),
        (b"{\"events\":[", 1, 12),
        (b"{\"events\":[\n", 2, 1),
        (b"{\"a\nb\":[]}", 1, 4),
    ] {
        let response = refuse(body).await;
        response.is_problem(400, "malformed_json");
        assert_eq!(
            (&response.json["line"], &response.json["column"]),
            (&line.into(), &column.into()),
            "{response:?}"
        );
    }
}

#[actix_web::test]
async fn body_of_another_shape_is_reported_with_a_pointer() {
    for (body, pointer, code) in [
        ("[]", "", "wrong_type"),
        ("7", "", "wrong_type"),
        ("{}", "/events", "required"),
        (r#"{"events":{}}"#, "/events", "wrong_type"),
        (r#"{"events":[{}],"batch":1}"#, "/batch", "unknown_field"),
        (r#"{"events":[{}],"sent_at":"yesterday"}"#, "/sent_at", "invalid_timestamp"),
    ] {
        let response = refuse(body).await;
        response.is_problem(422, "invalid_event");
        assert_eq!(response.errors(), [(pointer, code)], "{body}");
    }
}

#[actix_web::test]
async fn repeated_or_unknown_member_rejects_its_event() {
    check(&event_with(r#""user_id":"v""#), &[("/events/1/user_id", "duplicate_field")]).await;
    check(&event_with(r#""prperties":{}"#), &[("/events/1/prperties", "unknown_field")]).await;
    check("5", &[("/events/1", "wrong_type")]).await;
}

#[actix_web::test]
async fn text_that_no_store_can_keep_rejects_its_event() {
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

fn nested(levels: usize) -> String {
    format!(r#""properties":{}1{}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels))
}

#[actix_web::test]
async fn nesting_over_the_limit_rejects_its_event() {
    let deepest = nested(32);
    check_accepted(&event_with(&deepest), "properties", deepest.split_once(':').unwrap().1).await;
    let pointer = format!("/events/1/properties{}", "/a".repeat(32));
    check(&event_with(&nested(33)), &[(pointer.as_str(), "too_deep")]).await;
    // Deep enough to overflow the stack of a recursive parser.
    let arrays = format!(r#""properties":{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let pointer = format!("/events/1/properties/a{}", "/0".repeat(31));
    check(
        &event_with(&arrays),
        &[("/events/1", "event_too_large"), (pointer.as_str(), "too_deep")],
    )
    .await;
    let unknown = event_with(&arrays.replace("properties", "x"));
    check(&unknown, &[("/events/1", "event_too_large"), ("/events/1/x", "unknown_field")]).await;
}

#[actix_web::test]
async fn oversized_event_is_rejected_alone() {
    let large = event_with(&format!(r#""properties":{{"a":"{}"}}"#, "x".repeat(33 * 1024)));
    assert!(large.len() > MAX_EVENT_BYTES);
    check(&large, &[("/events/1", "event_too_large")]).await;
}

#[actix_web::test]
async fn invalid_ids_and_names_are_rejected() {
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
async fn invalid_timestamps_are_rejected() {
    for (timestamp, code) in [
        ("2026-11-22T10:00:00", "invalid_timestamp"),
        ("2026-11-22", "invalid_timestamp"),
        ("2026-11-22T09:59:60Z", "invalid_timestamp"),
        ("9999-12-31T23:59:59Z", "timestamp_in_future"),
        // Six minutes ahead of the clock; five are allowed.
        ("2026-11-22T10:06:00Z", "timestamp_in_future"),
        // One second older than 365 days.
        ("2025-11-22T09:59:59Z", "timestamp_too_old"),
    ] {
        check(
            &event_with(&format!(r#""timestamp":"{timestamp}""#)),
            &[("/events/1/timestamp", code)],
        )
        .await;
    }
    // A leap second comes only at the end of a month (RFC 3339, 5.7).
    let leap = event_with(r#""timestamp":"2026-06-30T23:59:60Z""#);
    check_accepted(&leap, "timestamp", "\"2026-07-01T00:00:00.000000Z\"").await;
}

#[actix_web::test]
async fn unusual_payloads_are_read_back_as_sent() {
    let odd = r#"{ "zero":-0, "empty":{}, "nothing":null, "big":1234567890123456789012345678901234567890 }"#;
    check_accepted(&event_with(&format!("\"properties\":{odd}")), "properties", odd).await;
    check_accepted(&event_with(r#""properties":{}"#), "properties", "{}").await;
    check_accepted(&event_with(r#""properties":null,"session_id":null"#), "session_id", "null")
        .await;
}

#[actix_web::test]
async fn headers_in_a_wrong_encoding_are_refused() {
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
    let response = test_app
        .call(
            post()
                .header("x-request-id", b"\xff")
                .header("user-agent", b"\xff")
                .header("traceparent", b"\xff"),
        )
        .await;
    assert_eq!(response.status, 200, "{response:?}");
}

#[actix_web::test]
async fn repeated_header_of_a_write_is_refused() {
    let test_app = TestApp::new();
    for (name, values, code) in [
        ("x-event-schema-version", ["1.0.0", "2.0.0"], "invalid_schema_version"),
        ("idempotency-key", ["a", "b"], "bad_request"),
    ] {
        let request = test_app.post("/v1/events/track", GOOD);
        let request = request.header(name, values[0]).header_again(name, values[1]);
        let response = test_app.call(request).await;
        response.is_problem(400, code);
        if code == "invalid_schema_version" {
            assert_eq!(response.json["actual"], "1.0.0, 2.0.0");
        }
    }
    assert_eq!(test_app.store.event_count(), 0);
}

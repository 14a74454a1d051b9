//! Queries and events with extreme values, sent to a real server on both databases: each gets a
//! clear response, and none makes the server fail.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mercurio_domain::testing::{at, provisioning};
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::server::{Deployment, Server, command};

/// The first and the last possible time of an event, in microseconds.
// 0000-01-01 and the last microsecond of 9999, as in RFC 3339.
const FIRST: i64 = -62_167_219_200_000_000;
const LAST: i64 = 253_402_300_799_999_999;

/// Runs a check against a server that accepts events of any age.
fn on_both(check: impl Fn(&Deployment, &mut Client)) {
    for deployment in [Deployment::sqlite(), Deployment::postgres()] {
        let server = Server::with(
            command(&deployment.database.url_text()).env("MERCURIO_MAX_EVENT_AGE_DAYS", "0"),
        );
        check(&deployment, &mut Client::connect(server.addr).unwrap());
        assert!(server.matching(|line| line["level"] == "error").is_empty());
    }
}

/// Encodes a cursor like the server.
fn cursor(micros: i64) -> String {
    // The version of the format, the time, and a key of 16 bytes.
    let mut bytes = vec![1];
    bytes.extend_from_slice(&micros.to_be_bytes());
    bytes.extend_from_slice(&[0x77; 16]);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ids(page: &Response) -> Vec<&str> {
    assert_eq!(page.status, 200, "{page:?}");
    page.json["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect()
}

#[track_caller]
fn assert_invalid(answer: &Response, parameter: &str) {
    assert_eq!(
        (answer.status, answer.json["code"].as_str()),
        (400, Some("invalid_query")),
        "{answer:?}"
    );
    assert_eq!(answer.json["errors"][0]["parameter"], parameter, "{answer:?}");
}

#[test]
fn event_id_that_looks_like_a_path_segment_is_read_back() {
    on_both(|Deployment { key, .. }, client| {
        assert_eq!(
            client
                .batch(&[".".to_owned(), "..".to_owned(), "%2e%2e".to_owned()], key)
                .unwrap()
                .status,
            200
        );
        for (path, id) in [
            ("/v1/events/.", "."),
            ("/v1/events/%2e", "."),
            ("/v1/events/..", ".."),
            ("/v1/events/%2E%2e", ".."),
            ("/v1/events/%252e%252e", "%2e%2e"),
        ] {
            let answer = client.get(path, key).unwrap();
            assert_eq!((answer.status, &answer.json["event_id"]), (200, &id.into()), "{path}");
        }
        // A client or proxy that resolves such a path requests this one.
        assert_eq!(ids(&client.get("/v1/events?limit=3", key).unwrap()).len(), 3);
        for path in ["/v1/events/", "/v1/", "/v1/events/%2e/x"] {
            assert_eq!(client.get(path, key).unwrap().status, 404, "{path}");
        }
    });
}

#[test]
fn forged_cursor_is_refused_or_stays_within_the_tenant() {
    on_both(|Deployment { database, key, .. }, client| {
        let (request, other_key) = provisioning("other", 2, at("2026-11-22T10:00:00Z"));
        database.store().provision(&request).unwrap();
        let [mine, theirs] = ["a", "b"].map(|id| [1, 2, 3].map(|number| format!("{id}{number}")));
        assert_eq!(client.batch(&mine, key).unwrap().status, 200);
        assert_eq!(client.batch(&theirs, other_key.expose()).unwrap().status, 200);

        for micros in [
            i64::MIN,
            // Around PostgreSQL's own limits: MIN_TIMESTAMP and END_TIMESTAMP in its timestamp.h.
            -211_813_488_000_000_001,
            FIRST - 1,
            LAST + 1,
            9_223_371_331_200_000_000,
            i64::MAX,
        ] {
            assert_invalid(
                &client.get(&format!("/v1/events?cursor={}", cursor(micros)), key).unwrap(),
                "cursor",
            );
        }
        assert_eq!(
            ids(&client.get(&format!("/v1/events?cursor={}", cursor(LAST)), key).unwrap()).len(),
            3
        );
        assert!(
            ids(&client.get(&format!("/v1/events?cursor={}", cursor(FIRST)), key).unwrap())
                .is_empty()
        );

        let page = client.get("/v1/events?limit=1", other_key.expose()).unwrap();
        let given = page.json["next_cursor"].as_str().unwrap();
        let answer = client.get(&format!("/v1/events?cursor={given}"), key).unwrap();
        assert!(ids(&answer).iter().all(|id| id.starts_with('a')), "{answer:?}");
        for index in 0..given.len() {
            let mut damaged = given.to_owned();
            damaged
                .replace_range(index..=index, if &given[index..=index] == "A" { "_" } else { "A" });
            let answer = client.get(&format!("/v1/events?cursor={damaged}"), key).unwrap();
            match answer.status {
                400 => assert_invalid(&answer, "cursor"),
                _ => assert!(ids(&answer).iter().all(|id| id.starts_with('a')), "{answer:?}"),
            }
            assert_invalid(
                &client.get(&format!("/v1/events?cursor={}", &given[..index.max(1)]), key).unwrap(),
                "cursor",
            );
        }
        assert_invalid(
            // Base64 without padding: `=` is not part of a cursor.
            &client.get(&format!("/v1/events?cursor={given}%3D"), key).unwrap(),
            "cursor",
        );
    });
}

#[test]
fn query_bounds_are_accepted_at_the_limit_and_refused_beyond() {
    on_both(|Deployment { key, .. }, client| {
        let old = r#"{"events":[{"event_id":"first","event_name":"n","user_id":"u","timestamp":"0000-01-01T00:00:00Z"}]}"#;
        assert_eq!(client.post("/v1/events/batch", key, old).unwrap().status, 200);
        let (first, last) = ("0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z");
        for (query, expected) in [
            (format!("from={first}&to={last}&limit=1"), 1),
            (format!("from={first}&to={first}&limit=1000"), 0),
            (format!("from={last}"), 0),
            (format!("to={first}&limit=1"), 0),
            ("to=0000-01-01T00:00:00.000001Z".to_owned(), 1),
            (format!("from={first}&to={first}&cursor={}", cursor(FIRST)), 0),
        ] {
            let answer = client.get(&format!("/v1/events?{query}"), key).unwrap();
            assert_eq!(ids(&answer).len(), expected, "{query}");
        }
        let answer = client.get("/v1/events/first", key).unwrap();
        assert_eq!(
            (answer.status, &answer.json["timestamp"]),
            (200, &"0000-01-01T00:00:00.000000Z".into())
        );
        for (query, parameter) in [
            // Out of range only after conversion to UTC.
            ("from=0000-01-01T00:00:00%2B00:01", "from"),
            ("to=9999-12-31T23:59:59-00:01", "to"),
            // The leap second counts as the first second of the year 10000.
            ("to=9999-12-31T23:59:60Z", "to"),
            ("from=10000-01-01T00:00:00Z", "from"),
            ("from=-0001-01-01T00:00:00Z", "from"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=18446744073709551617", "limit"),
            ("limit=1e2", "limit"),
            ("limit=", "limit"),
        ] {
            assert_invalid(&client.get(&format!("/v1/events?{query}"), key).unwrap(), parameter);
        }
    });
}

#[test]
fn event_with_unstorable_corrected_time_is_rejected_alone() {
    on_both(|Deployment { key, .. }, client| {
        let [bad, good] = [("bad", "0000-01-01"), ("good", "9999-12-31")].map(|(id, day)| {
            json!({
                "event_id": id, "event_name": "n", "user_id": "u",
                "timestamp": format!("{day}T00:00:00Z"),
            })
        });
        let body = format!(r#"{{"sent_at":"9999-12-31T00:00:10Z","events":[{bad},{good}]}}"#);
        let answer = client.post("/v1/events/batch", key, &body).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let results: Vec<&Value> = answer.json["results"].as_array().unwrap().iter().collect();
        assert_eq!(
            (&results[0]["status"], &results[1]["status"]),
            (&"rejected".into(), &"accepted".into())
        );
        assert_eq!(results[0]["errors"][0]["pointer"], "/events/0/timestamp");
        assert_eq!(results[0]["errors"][0]["code"], "invalid_timestamp");
    });
}

//! Questions and events at the edges of what can be said, asked of a real server on both databases: each has a clear answer,
//! and none is a failure of the server.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mercurio_domain::testing::{at, provisioning};
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::server::{House, Server, command};

/// Microseconds of the first and the last instant that an event can have.
const FIRST: i64 = -62_167_219_200_000_000;
const LAST: i64 = 253_402_300_799_999_999;

/// A server that takes events of any age, and a client of it.
fn on_both(check: impl Fn(&House, &mut Client)) {
    for house in [House::sqlite(), House::postgres()] {
        let server = Server::with(
            command(&house.database.url_text()).env("MERCURIO_MAX_EVENT_AGE_DAYS", "0"),
        );
        check(&house, &mut Client::connect(server.addr).unwrap());
        assert!(server.lines("store query failed").is_empty());
    }
}

/// A cursor as the server makes it.
fn cursor(micros: i64) -> String {
    let mut bytes = vec![1];
    bytes.extend_from_slice(&micros.to_be_bytes());
    bytes.extend_from_slice(&[0x77; 16]);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ids(page: &Answer) -> Vec<&str> {
    assert_eq!(page.status, 200, "{page:?}");
    page.json["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect()
}

#[track_caller]
fn assert_invalid(answer: &Answer, parameter: &str) {
    assert_eq!(
        (answer.status, answer.json["code"].as_str()),
        (400, Some("invalid_query")),
        "{answer:?}"
    );
    assert_eq!(answer.json["errors"][0]["parameter"], parameter, "{answer:?}");
}

#[test]
fn an_id_that_looks_like_a_step_in_a_path_is_read_where_it_arrives_as_sent_and_stands_in_the_pages()
{
    on_both(|House { key, .. }, client| {
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
        // What is left of such a path where a client or a proxy resolves it.
        assert_eq!(ids(&client.get("/v1/events?limit=3", key).unwrap()).len(), 3);
        for path in ["/v1/events/", "/v1/", "/v1/events/%2e/x"] {
            assert_eq!(client.get(path, key).unwrap().status, 404, "{path}");
        }
    });
}

#[test]
fn a_cursor_that_was_not_given_out_is_refused_or_a_place_among_ones_own_events() {
    on_both(|House { database, key }, client| {
        let (request, other_key) = provisioning("other", 2, at("2026-11-22T10:00:00Z"));
        database.store().provision(&request).unwrap();
        let [mine, theirs] = ["a", "b"].map(|id| [1, 2, 3].map(|number| format!("{id}{number}")));
        assert_eq!(client.batch(&mine, key).unwrap().status, 200);
        assert_eq!(client.batch(&theirs, other_key.expose()).unwrap().status, 200);

        for micros in [
            i64::MIN,
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
        for place in 0..given.len() {
            let mut damaged = given.to_owned();
            damaged
                .replace_range(place..=place, if &given[place..=place] == "A" { "_" } else { "A" });
            let answer = client.get(&format!("/v1/events?cursor={damaged}"), key).unwrap();
            match answer.status {
                400 => assert_invalid(&answer, "cursor"),
                _ => assert!(ids(&answer).iter().all(|id| id.starts_with('a')), "{answer:?}"),
            }
            assert_invalid(
                &client.get(&format!("/v1/events?cursor={}", &given[..place.max(1)]), key).unwrap(),
                "cursor",
            );
        }
        assert_invalid(
            &client.get(&format!("/v1/events?cursor={given}%3D"), key).unwrap(),
            "cursor",
        );
    });
}

#[test]
fn bounds_and_limits_at_their_edges_are_taken_and_beyond_them_refused() {
    on_both(|House { key, .. }, client| {
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
            ("from=0000-01-01T00:00:00%2B00:01", "from"),
            ("to=9999-12-31T23:59:59-00:01", "to"),
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
fn an_event_whose_corrected_time_no_database_can_hold_rejects_itself_alone() {
    on_both(|House { key, .. }, client| {
        let event = |id: &str, time: &str| {
            format!(r#"{{"event_id":"{id}","event_name":"n","user_id":"u"{time}}}"#)
        };
        let bad = event("bad", r#","timestamp":"0000-01-01T00:00:00Z""#);
        let good = event("good", r#","timestamp":"9999-12-31T00:00:00Z""#);
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

//! The examples of docs/API.md: each request is made on an app, and answered as the document says.

use std::collections::BTreeSet;

use actix_web::http::Method;
use mercurio_api::problem::Problem;
use mercurio_domain::limits::Limits;
use mercurio_domain::store::Catalog;
use mercurio_pipeline::WriterOptions;
use serde_json::Value;

use mercurio_api::testing::{Answer, Ask, TestApp};

const DOCUMENT: &str = include_str!("../../../../docs/API.md");

/// Members whose values differ between two runs, or between two servers.
const PASSING: &[&str] = &[
    "backend",
    "cpu_count",
    "enrichment",
    "groups",
    "latency_ms",
    "memory_bytes",
    "next_cursor",
    "open_connections",
    "received_at",
    "request_id",
    "request_ms",
    "retry_after_seconds",
    "timestamp",
    "uptime_seconds",
    "version",
];
/// What stands in an answer for all that is left out there.
const OPEN: &str = "…";

/// A request, where one can be made, and its answer.
struct Example {
    request: Option<&'static str>,
    answer: Shown,
}

/// An answer as the document shows it.
enum Shown {
    Json(Value),
    /// Lines that stand in the answer in this order; between those on both sides of an open one there may be others.
    Text(&'static str),
}

fn section(title: &str) -> &'static str {
    let sections = DOCUMENT.split("\n## ");
    sections.filter_map(|section| section.strip_prefix(title)?.strip_prefix('\n')).next().unwrap()
}

fn examples(title: &str) -> Vec<Example> {
    let mut request = None;
    let mut examples = Vec::new();
    for block in section(title).split("```").skip(1).step_by(2) {
        match block.split_once('\n').unwrap() {
            ("http", text) => request = Some(text),
            ("json", text) => {
                let answer = Shown::Json(serde_json::from_str(text).unwrap());
                examples.push(Example { request: request.take(), answer });
            }
            ("text" | "html", text) => {
                examples.push(Example { request: request.take(), answer: Shown::Text(text) })
            }
            (kind, _) => panic!("a block of {kind}"),
        }
    }
    examples
}

/// Makes the request; `…` in its body stands for `filling`, and in its key for the rest of a real one.
async fn make(test_app: &TestApp, request: &str, key: &str, filling: &str) -> Answer {
    let (head, body) =
        request.split_once("\n\n").map_or((request, None), |(head, body)| (head, Some(body)));
    let mut lines = head.lines();
    let (method, path) = lines.next().and_then(|line| line.split_once(' ')).unwrap();
    let mut ask = Ask::new(Method::from_bytes(method.as_bytes()).unwrap(), path);
    if let Some(body) = body {
        ask = ask
            .header("content-type", "application/json")
            .body(body.trim_end().replace('…', filling));
    }
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        ask = ask.header(&name.to_ascii_lowercase(), value.replace("mk_…", key));
    }
    let answer = test_app.call(ask).await;
    if answer.status >= 400 {
        assert_eq!(answer.json["status"], answer.status, "{answer:?}");
    }
    answer
}

/// Fails unless `real` is what is shown: all of it but for what is left open there.
#[track_caller]
fn holds(shown: Shown, real: &Answer) {
    match shown {
        Shown::Json(shown) => {
            let mut json = real.json.clone();
            leave_open(&shown, &mut json);
            assert_eq!(lasting(json), lasting(shown));
        }
        Shown::Text(shown) => {
            let text = String::from_utf8(real.body.clone()).unwrap();
            let mut rest = text.as_str();
            for part in shown.split(&format!("{OPEN}\n")).filter(|part| !part.is_empty()) {
                let at = rest.find(part).unwrap_or_else(|| panic!("{part} is not in {rest}"));
                rest = &rest[at + part.len()..];
            }
        }
    }
}

/// Puts what is shown as open into its place in `real`. A member `…` stands for members that are not shown.
fn leave_open(shown: &Value, real: &mut Value) {
    match (shown, real) {
        (Value::String(open), real) if open == OPEN => *real = Value::from(OPEN),
        (Value::Object(shown), Value::Object(real)) => {
            if shown.contains_key(OPEN) {
                real.retain(|name, _| shown.contains_key(name));
                real.insert(OPEN.to_owned(), Value::from(OPEN));
            }
            for (name, real) in real {
                shown.get(name).into_iter().for_each(|shown| leave_open(shown, &mut *real));
            }
        }
        _ => {}
    }
}

/// Puts null in place of what differs between runs. That it is there is compared all the same.
fn lasting(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            for (name, member) in members {
                *member =
                    if PASSING.contains(&&**name) { Value::Null } else { lasting(member.take()) };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = lasting(item.take())),
        _ => {}
    }
    value
}

fn limited(limits: Limits) -> TestApp {
    TestApp::with(limits, WriterOptions { threads: 1, ..WriterOptions::default() })
}

/// Answers the request of the example of that code from a server in the state that the document tells.
async fn answer_of(code: &str, request: Option<&str>) -> Value {
    let Some(request) = request else {
        let problem = match code {
            "internal" => Problem::Internal,
            "request_header_fields_too_large" => Problem::RequestHeaderFieldsTooLarge,
            "request_timeout" => Problem::RequestTimeout,
            _ => panic!("{code} has no request"),
        };
        return serde_json::from_str(&problem.to_json("")).unwrap();
    };
    let test_app = match code {
        "quota_exceeded" => limited(Limits { monthly_events: 1, ..Limits::default() }),
        "rate_limited" => {
            limited(Limits { requests_per_second: 1, requests_burst: 1, ..Limits::default() })
        }
        _ => TestApp::new(),
    };
    let mut key = test_app.key.expose().to_owned();
    let mut filling = String::new();
    match code {
        "batch_too_large" => filling = ["{}"; 51].join(","),
        "payload_too_large" => filling = " ".repeat(300_000 - r#"{"events":[]}"#.len()),
        "insufficient_scope" => key = test_app.key_with("events:read", 9).expose().to_owned(),
        "tenant_suspended" => {
            test_app.store.suspend_tenant(test_app.owner.tenant_id, true).unwrap();
        }
        "quota_exceeded" | "rate_limited" => {
            let first = test_app.batch(r#"{"event_name":"n","user_id":"u"}"#).await;
            assert_eq!(first.status, 200, "{first:?}");
        }
        "overloaded" => test_app.state.lifecycle.drain(),
        "storage_unavailable" => test_app.store.set_unavailable(true),
        _ => {}
    }
    make(&test_app, request, &key, &filling).await.json
}

#[actix_web::test]
async fn each_request_of_the_document_is_answered_as_it_says() {
    let test_app = TestApp::new();
    let examples = examples("Examples");
    assert!(!examples.is_empty());
    for Example { request, answer } in examples {
        let request = request.unwrap();
        let real = make(&test_app, request, test_app.key.expose(), "").await;
        assert_eq!(real.status, 200, "{request}");
        holds(answer, &real);
    }
}

#[actix_web::test]
async fn each_error_of_the_document_has_an_example_that_is_so() {
    let mut shown = BTreeSet::new();
    for Example { request, answer } in examples("Examples of errors") {
        let Shown::Json(answer) = answer else { panic!("{request:?} has a problem as its answer") };
        let code = answer["code"].as_str().unwrap().to_owned();
        let real = answer_of(&code, request).await;
        assert_eq!(lasting(real), lasting(answer), "{code}");
        shown.insert(code);
    }
    let rows =
        section("Errors").lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
    let told: BTreeSet<_> =
        rows.flat_map(|(codes, _)| codes.split(", ")).map(|code| code.replace('`', "")).collect();
    assert_eq!(shown, told);
}

#[test]
fn each_path_that_is_served_has_an_example() {
    let shown: BTreeSet<_> = examples("Examples")
        .iter()
        .filter_map(|example| {
            let (method, path) = example.request?.lines().next()?.split_once(' ')?;
            let path = path.split('?').next()?;
            let pattern =
                if path.starts_with("/v1/events/order") { "/v1/events/{event_id}" } else { path };
            Some((method.to_lowercase(), pattern.replace("page.js", "{file}")))
        })
        .collect();
    let document = serde_json::to_value(mercurio_api::openapi::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|method| *method != "head") {
            assert!(shown.contains(&(method.clone(), path.clone())), "{method} {path}");
        }
    }
}

//! The examples of docs/API.md: each request, sent to an app, gets the documented response.

use std::collections::BTreeSet;

use actix_web::http::Method;
use mercurio_api::problem::{Problem, ProblemCode};
use mercurio_domain::limits::Limits;
use mercurio_domain::store::Catalog;
use mercurio_domain::verdict::FieldErrorCode;
use serde_json::Value;

use mercurio_api::testing::{ApiRequest, ApiResponse, TestApp};

const DOCUMENT: &str = include_str!("../../../../docs/API.md");

/// Members whose values differ between runs or servers.
const VARIABLE: &[&str] = &[
    "backend",
    "cpu_count",
    "enrichment",
    "from",
    "groups",
    "last_hour",
    "latency_ms",
    "memory_bytes",
    "next",
    "next_cursor",
    "open_connections",
    "received_at",
    "request_id",
    "request_ms",
    "retry_after_seconds",
    "timestamp",
    "to",
    "uptime_seconds",
    "version",
];
/// Marks omitted parts in a documented response.
const OMITTED: &str = "…";

/// A request, if the document has one, and its response.
struct Example {
    request: Option<&'static str>,
    response: Documented,
}

/// A response in the document.
enum Documented {
    Json(Value),
    /// Lines of the response, in its order. An omitted line matches any number of lines.
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
                let response = Documented::Json(serde_json::from_str(text).unwrap());
                examples.push(Example { request: request.take(), response });
            }
            ("text" | "html", text) => {
                let response = Documented::Text(text);
                examples.push(Example { request: request.take(), response });
            }
            (kind, _) => panic!("a block of {kind}"),
        }
    }
    examples
}

/// Sends a documented request. `filling` replaces `…` in its body, and `key` the key.
async fn send(test_app: &TestApp, request: &str, key: &str, filling: &str) -> ApiResponse {
    let (head, body) =
        request.split_once("\n\n").map_or((request, None), |(head, body)| (head, Some(body)));
    let mut lines = head.lines();
    let (method, path) = lines.next().and_then(|line| line.split_once(' ')).unwrap();
    let mut sent = ApiRequest::new(Method::from_bytes(method.as_bytes()).unwrap(), path);
    if let Some(body) = body {
        sent = sent
            .header("content-type", "application/json")
            .body(body.trim_end().replace('…', filling));
    }
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        sent = sent.header(&name.to_ascii_lowercase(), value.replace("mk_…", key));
    }
    let response = test_app.call(sent).await;
    if response.status >= 400 {
        assert_eq!(response.json["status"], response.status, "{response:?}");
    }
    response
}

/// Asserts that `real` equals the documented response, except for omitted parts.
#[track_caller]
fn check(documented: Documented, real: &ApiResponse) {
    match documented {
        Documented::Json(documented) => {
            let mut json = real.json.clone();
            omit(&documented, &mut json);
            assert_eq!(without_variable(json), without_variable(documented));
        }
        Documented::Text(documented) => {
            let text = String::from_utf8(real.body.clone()).unwrap();
            let mut rest = text.as_str();
            for part in documented.split(&format!("{OMITTED}\n")).filter(|part| !part.is_empty()) {
                let at = rest.find(part).unwrap_or_else(|| panic!("{part} is not in {rest}"));
                rest = &rest[at + part.len()..];
            }
        }
    }
}

/// Replaces the parts of `real` that the document omits by its mark. A member `…` omits further
/// members.
fn omit(documented: &Value, real: &mut Value) {
    match (documented, real) {
        (Value::String(text), real) if text == OMITTED => *real = Value::from(OMITTED),
        (Value::Object(documented), Value::Object(real)) => {
            if documented.contains_key(OMITTED) {
                real.retain(|name, _| documented.contains_key(name));
                real.insert(OMITTED.to_owned(), Value::from(OMITTED));
            }
            for (name, real) in real {
                if let Some(documented) = documented.get(name) {
                    omit(documented, real);
                }
            }
        }
        (Value::Array(documented), Value::Array(real)) => {
            for (documented, real) in documented.iter().zip(real) {
                omit(documented, real);
            }
        }
        _ => {}
    }
}

/// Replaces the values of variable members by null. Their presence is still compared.
fn without_variable(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            for (name, member) in members {
                let is_variable = VARIABLE.contains(&name.as_str());
                *member = if is_variable { Value::Null } else { without_variable(member.take()) };
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = without_variable(item.take());
            }
        }
        _ => {}
    }
    value
}

/// Returns the problems whose examples have no request: they need a broken connection or a special
/// state of the server.
fn problem_without_request(code: &str) -> Problem {
    match code {
        "internal" => Problem::Internal,
        "overloaded" => Problem::Overloaded { retry_after_seconds: 1 },
        "request_header_fields_too_large" => Problem::RequestHeaderFieldsTooLarge,
        "request_timeout" => Problem::RequestTimeout,
        _ => panic!("{code} has no request"),
    }
}

/// Sends the request of an error's example to a server in the documented state.
async fn send_for_error(code: &str, request: &str) -> Value {
    let limits = match code {
        "quota_exceeded" => Limits { monthly_events: 1, ..Limits::default() },
        "rate_limited" => Limits { requests_per_second: 1, requests_burst: 1, ..Limits::default() },
        "too_many_reads" => Limits { reads_per_second: 1, reads_burst: 1, ..Limits::default() },
        _ => Limits::default(),
    };
    let test_app = TestApp::with_limits(limits);
    let mut key = test_app.key.expose().to_owned();
    let mut filling = String::new();
    match code {
        "batch_too_large" => filling = ["{}"; 51].join(","),
        // Padding to the documented 300,000 bytes.
        "payload_too_large" => filling = " ".repeat(300_000 - r#"{"events":[]}"#.len()),
        "insufficient_scope" => key = test_app.key_with("events:read", 9).expose().to_owned(),
        "origin_not_allowed" => key = test_app.key_for("https://shop.example").expose().to_owned(),
        "tenant_suspended" => {
            test_app.store.suspend_tenant(test_app.owner.tenant_id, true).unwrap();
        }
        "quota_exceeded" | "rate_limited" => {
            let first = test_app.batch(r#"{"event_name":"n","user_id":"u"}"#).await;
            assert_eq!(first.status, 200, "{first:?}");
        }
        "too_many_reads" => {
            assert_eq!(test_app.call(test_app.get("/v1/events")).await.status, 200);
        }
        "query_timeout" => test_app.store.set_reads_time_out(true),
        "shutting_down" => test_app.state.lifecycle.drain(),
        "storage_unavailable" => test_app.store.set_unavailable(true),
        _ => {}
    }
    send(&test_app, request, &key, &filling).await.json
}

#[actix_web::test]
async fn documented_requests_get_their_responses() {
    let test_app = TestApp::new();
    let examples = examples("Examples");
    assert!(!examples.is_empty());
    for Example { request, response } in examples {
        let request = request.unwrap();
        if request.contains("/v1/rejections") {
            // Written after their responses.
            test_app.close_recorder();
        }
        let real = send(&test_app, request, test_app.key.expose(), "").await;
        assert_eq!(real.status, 200, "{request}");
        check(response, &real);
    }
}

#[actix_web::test]
async fn documented_errors_have_true_examples() {
    let mut shown = BTreeSet::new();
    for Example { request, response } in examples("Examples of errors") {
        let Documented::Json(documented) = response else { panic!("{request:?} has no problem") };
        let code = documented["code"].as_str().unwrap().to_owned();
        let real = match request {
            Some(request) => send_for_error(&code, request).await,
            None => serde_json::from_str(&problem_without_request(&code).to_json("")).unwrap(),
        };
        assert_eq!(without_variable(real), without_variable(documented), "{code}");
        shown.insert(code);
    }
    let of_the_server = ProblemCode::ALL.map(|code| code.as_str().to_owned());
    assert_eq!(shown, BTreeSet::from(of_the_server));
    assert_eq!(shown, codes(section("Errors")));
}

/// Returns the codes in the first column of the tables of `text`.
fn codes(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
    rows.flat_map(|(codes, _)| codes.split(", ")).map(|code| code.replace('`', "")).collect()
}

#[test]
fn pages_explain_every_code_of_an_event_error() {
    let runbook = include_str!("../../../../docs/runbooks/MercurioManyRejections.md");
    for (page, text) in [("API.md", section("An event")), ("the runbook", runbook)] {
        let listed = codes(text);
        for code in FieldErrorCode::ALL {
            assert!(listed.contains(code.as_str()), "{page} lacks {code}");
        }
        let is_code = |code: &&String| FieldErrorCode::from_text(code).is_some();
        let others = listed.iter().filter(|code| !is_code(code));
        // The table of members has the same form.
        assert!(
            page == "API.md" || others.count() == 0,
            "{page} lists codes of no error: {listed:?}"
        );
    }
}

#[actix_web::test]
async fn documented_mistakes_get_their_answers() {
    let test_app = TestApp::new();
    let examples = examples("Mistakes and their answers");
    assert!(!examples.is_empty());
    for Example { request, response } in examples {
        let request = request.unwrap();
        let real = send(&test_app, request, test_app.key.expose(), "").await;
        assert!((400..500).contains(&real.status), "{request}");
        check(response, &real);
    }
}

#[test]
fn served_paths_have_documented_examples() {
    let shown: BTreeSet<_> = examples("Examples")
        .iter()
        .filter_map(|example| {
            let (method, path) = example.request?.lines().next()?.split_once(' ')?;
            let path = path.split('?').next()?;
            let pattern =
                if path.starts_with("/v1/events/order") { "/v1/events/{event_id}" } else { path };
            let pattern = pattern.replace("page.js", "{file}").replace("quota_exceeded", "{code}");
            Some((method.to_lowercase(), pattern))
        })
        .collect();
    let document = serde_json::to_value(mercurio_api::openapi::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            // Those have a page of their own.
            if operation["tags"][0] == "Clients of other services" {
                continue;
            }
            assert!(shown.contains(&(method.clone(), path.clone())), "{method} {path}");
        }
    }
}

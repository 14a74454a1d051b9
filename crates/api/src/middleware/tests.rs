//! The middleware around a small app, without a socket.

use super::*;
use actix_web::body::to_bytes;
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, error, web};
use mercurio_domain::ids::{TenantId, WorkspaceId};
use mercurio_observability::metrics::ServerReading;
use mercurio_observability::{LogFormat, LogLevel, LogOutput, LogSettings, logger};
use mercurio_runtime::system::UuidV7Ids;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Mutex;
use uuid::Uuid;

/// What the log wrote.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a client and an operator see of a request.
struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
    lines: Vec<Value>,
    metrics: Arc<Metrics>,
}

impl Seen {
    fn problem(&self) -> Value {
        assert_eq!(self.headers.get(CONTENT_TYPE), Some(&PROBLEM_JSON), "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    fn request_id(&self) -> &str {
        self.headers.get(X_REQUEST_ID).expect("every response has an id").to_str().unwrap()
    }

    /// The closing line; there is one, whatever happens.
    fn line(&self) -> &Value {
        let mut lines = self.lines.iter().filter(|line| line["msg"] == "request");
        let line = lines.next().expect("a closing line");
        assert!(lines.next().is_none(), "{:?}", self.lines);
        line
    }
}

async fn ok() -> HttpResponse {
    HttpResponse::Ok().body("fine")
}

async fn status(code: web::Path<u16>) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::from_u16(code.into_inner()).unwrap());
    response.insert_header(("content-length", "3")).insert_header(("x-kept", "yes")).body("abc")
}

async fn kept() -> HttpResponse {
    let mut response = HttpResponse::ServiceUnavailable().body("{}");
    response.extensions_mut().insert(KeepBody);
    response
}

async fn event(request: HttpRequest) -> HttpResponse {
    RequestFacts::tell(&request, |facts| {
        facts.owner = Some(Owner { tenant_id: TenantId(1), workspace_id: WorkspaceId(2) });
        facts.key_id = Some(ApiKeyId::new("k3v9"));
    });
    RequestFacts::tell(&request, |facts| {
        facts.events = Some(EventCounts { accepted: 3, duplicates: 2, rejected: 1 });
        facts.body_bytes = Some(1234);
    });
    slog::info!(context::current(), "deep");
    HttpResponse::Ok().finish()
}

async fn panics() -> HttpResponse {
    std::hint::black_box(None::<HttpResponse>).expect("the test's own panic")
}

async fn fails() -> Result<HttpResponse, Error> {
    Err(error::ErrorBadRequest("what actix says"))
}

async fn refuses() -> Result<HttpResponse, Problem> {
    Err(Problem::BatchEmpty)
}

/// Sends a request; `None` if the client gives up before the answer.
async fn send(request: TestRequest, gives_up: bool) -> Seen {
    let buffer = Buffer::default();
    let settings = LogSettings::new(LogFormat::Json, LogLevel::Info);
    let (log, guard) = logger::build(settings, LogOutput::Writer(Box::new(buffer.clone())));
    let metrics = Metrics::new();
    let app = App::new()
        .route("/ok", web::get().to(ok))
        .route("/status/{code}", web::get().to(status))
        .route("/kept", web::get().to(kept))
        .service(web::resource("/events/{event_id}").route(web::post().to(event)))
        .route("/panics", web::get().to(panics))
        .route("/fails", web::get().to(fails))
        .route("/refuses", web::get().to(refuses))
        .route("/never", web::get().to(|| async { std::future::pending::<HttpResponse>().await }))
        .wrap_fn(|request, service| {
            let refused = request.path() == "/middleware";
            let answer = service.call(request);
            async move { if refused { Err(error::ErrorForbidden("no")) } else { answer.await } }
        })
        .wrap(RequestMiddleware::new(log.clone(), Arc::clone(&metrics), Arc::new(UuidV7Ids)));
    let app = init_service(app).await;
    let response = {
        let mut answer = Box::pin(app.call(request.to_request()));
        if gives_up {
            assert!(poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_pending())).await);
            None
        } else {
            Some(answer.await)
        }
    };
    let response = match response {
        Some(Ok(response)) => response.into_parts().1,
        Some(Err(error)) => error.error_response(),
        None => HttpResponse::new(StatusCode::IM_A_TEAPOT),
    };
    drop(guard);
    let log = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = String::from_utf8(to_bytes(response.into_body()).await.unwrap().to_vec()).unwrap();
    Seen { status, headers, body, lines, metrics }
}

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

#[actix_web::test]
async fn a_caller_s_id_comes_back_where_it_is_fit_for_logs_and_else_a_new_one() {
    let longest = "x".repeat(128);
    for (given, taken) in [
        ("a", true),
        ("A-b_C.9", true),
        (&*longest, true),
        (&*format!("{longest}x"), false),
        ("", false),
        ("a b", false),
        ("a\"b", false),
        ("ä", false),
    ] {
        for path in ["/ok", "/nowhere"] {
            let seen = send(get(path).insert_header(("x-request-id", given)), false).await;
            assert_eq!(seen.request_id() == given, taken, "{given:?}");
            assert_eq!(seen.line()["request_id"], seen.request_id());
            if !taken {
                assert_eq!(Uuid::parse_str(seen.request_id()).unwrap().get_version_num(), 7);
            }
        }
    }
}

#[actix_web::test]
async fn every_error_is_a_problem_with_the_id_of_its_request_whoever_made_it() {
    let check = async |request: TestRequest, status: u16, code: &str| {
        let seen = send(request.insert_header(("x-request-id", "r-1")), false).await;
        let problem = seen.problem();
        assert_eq!((seen.status.as_u16(), &problem["code"]), (status, &json!(code)), "{problem}");
        assert_eq!(
            (&problem["request_id"], seen.request_id()),
            (&json!("r-1"), "r-1"),
            "{problem}"
        );
        assert_eq!(seen.line()["status"], status);
        assert!(!seen.headers.contains_key(CONTENT_LENGTH), "the old body's");
    };
    check(get("/nowhere"), 404, "not_found").await;
    check(get("/events/a"), 405, "method_not_allowed").await;
    check(get("/refuses"), 400, "batch_empty").await;
    check(get("/fails"), 400, "bad_request").await;
    check(get("/middleware"), 403, "forbidden").await;
    check(get("/panics"), 500, "internal").await;
    check(get("/status/x"), 404, "not_found").await;
    for (status, code) in [
        (400, "bad_request"),
        (408, "request_timeout"),
        (413, "payload_too_large"),
        (415, "unsupported_media_type"),
        (417, "expectation_failed"),
        (431, "request_header_fields_too_large"),
        (500, "internal"),
        (503, "service_unavailable"),
    ] {
        check(get(&format!("/status/{status}")), status, code).await;
    }
}

#[actix_web::test]
async fn what_is_no_error_or_is_marked_keeps_its_body_and_an_error_its_other_headers() {
    let check = async |path: &str, status: u16, body: &str| {
        let seen = send(get(path), false).await;
        assert_eq!((seen.status.as_u16(), &*seen.body), (status, body), "{path}");
        assert!(!seen.request_id().is_empty());
    };
    check("/ok", 200, "fine").await;
    check("/status/302", 302, "abc").await;
    check("/kept", 503, "{}").await;
    assert_eq!(send(get("/status/400"), false).await.headers.get("x-kept").unwrap(), "yes");
    assert_eq!(send(get("/events/a"), false).await.headers.get(ALLOW).unwrap(), "POST");
}

#[actix_web::test]
async fn the_closing_line_has_what_the_handler_told_and_the_counters_agree() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = TestRequest::post().uri("/events/secret?auth=secret");
    let request =
        request.insert_header(("traceparent", trace)).insert_header(("x-request-id", "r-1"));
    let seen = send(request, false).await;
    let mut line = seen.line().as_object().unwrap().clone();
    assert!(line.remove("ts").is_some() && line.remove("duration_ms").unwrap().is_number());
    let expected = json!({
        "level": "info", "msg": "request", "request_id": "r-1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "tenant_id": "1", "workspace_id": "2", "key_id": "k3v9", "method": "POST", "route": "/events/{event_id}",
        "status": 200, "events": 6, "accepted": 3, "duplicates": 2, "rejected": 1, "body_bytes": 1234,
    });
    assert_eq!(Value::Object(line), expected);
    let deep = seen.lines.iter().find(|line| line["msg"] == "deep").unwrap();
    assert_eq!(
        (&deep["request_id"], &deep["trace_id"]),
        (&expected["request_id"], &expected["trace_id"])
    );

    let numbers = seen.metrics.snapshot();
    assert_eq!(
        (numbers.events_accepted, numbers.events_duplicate, numbers.events_rejected),
        (3, 2, 1)
    );
    let printed = seen.metrics.render(&ServerReading::default());
    for line in [
        "mercurio_http_requests_total{method=\"POST\",route=\"/events/{event_id}\",status=\"200\"} 1",
        "mercurio_tenant_events_total{tenant_id=\"1\",verdict=\"accepted\"} 3",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
}

#[actix_web::test]
async fn a_malformed_traceparent_is_ignored() {
    let seen = send(get("/ok").insert_header(("traceparent", "00-zz-zz-00")), false).await;
    assert_eq!((seen.status, seen.line().get("trace_id")), (StatusCode::OK, None));
}

#[actix_web::test]
async fn a_panic_says_whose_request_it_was_and_nothing_of_its_message() {
    let seen = send(get("/panics").insert_header(("x-request-id", "r-1")), false).await;
    let line = seen.lines.iter().find(|line| line["msg"] == "a handler panicked").unwrap();
    assert_eq!((&line["request_id"], &line["level"]), (&json!("r-1"), &json!("error")));
    assert_eq!((&seen.line()["status"], &seen.line()["level"]), (&json!(500), &json!("warning")));
    assert!(!format!("{:?} {}", seen.lines, seen.body).contains("own panic"));
}

#[actix_web::test]
async fn a_request_whose_client_went_away_is_closed_too() {
    let seen = send(get("/never").insert_header(("x-request-id", "r-1")), true).await;
    assert_eq!((&seen.line()["status"], &seen.line()["request_id"]), (&json!(499), &json!("r-1")));
    let printed = seen.metrics.render(&ServerReading::default());
    assert!(printed.contains("{method=\"GET\",route=\"none\",status=\"499\"} 1"), "{printed}");
}

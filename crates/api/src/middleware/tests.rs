//! The middleware around a small app, without a socket.

use super::*;
use actix_web::body::to_bytes;
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpRequest, error, web};
use mercurio_domain::ids::{Owner, TenantId, WorkspaceId};
use mercurio_observability::logging::request_line::EventCounts;
use mercurio_observability::metrics::ServerReading;
use mercurio_observability::{LogFormat, LogLevel, LogOutput, LogSettings, logger};
use mercurio_runtime::system::UuidV7Ids;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Mutex;
use uuid::Uuid;

/// The written log.
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

/// A request as seen by its client, in the log and in the metrics.
struct Exchange {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
    lines: Vec<Value>,
    metrics: Arc<Metrics>,
}

impl Exchange {
    fn problem(&self) -> Value {
        assert_eq!(self.headers.get(CONTENT_TYPE), Some(&PROBLEM_JSON), "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    fn request_id(&self) -> &str {
        self.headers.get(X_REQUEST_ID).expect("every response has an id").to_str().unwrap()
    }

    /// Returns the `request` log line. There is exactly one.
    fn line(&self) -> &Value {
        let mut lines = self.lines.iter().filter(|line| line["msg"] == "request");
        let line = lines.next().expect("a request line");
        assert!(lines.next().is_none(), "{:?}", self.lines);
        line
    }
}

async fn ok() -> HttpResponse {
    HttpResponse::Ok().body("fine")
}

async fn status(code: web::Path<u16>) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::from_u16(code.into_inner()).unwrap());
    // A header of the replaced body, and an unrelated one.
    response.insert_header(("content-length", "3")).insert_header(("x-kept", "yes")).body("abc")
}

async fn kept() -> HttpResponse {
    let mut response = HttpResponse::ServiceUnavailable().body("{}");
    response.extensions_mut().insert(KeepBody);
    response
}

async fn event(request: HttpRequest) -> HttpResponse {
    RequestFacts::update(&request, |facts| {
        facts.owner = Some(Owner { tenant_id: TenantId(1), workspace_id: WorkspaceId(2) });
        facts.key_id = Some(ApiKeyId::new("k3v9"));
    });
    RequestFacts::update(&request, |facts| {
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
    Err(error::ErrorBadRequest("text of actix"))
}

async fn refuses() -> Result<HttpResponse, Problem> {
    Err(Problem::BatchEmpty)
}

async fn send(request: TestRequest) -> Exchange {
    exchange(request, false).await
}

/// Sends a request and drops it before its response.
async fn abandon(request: TestRequest) -> Exchange {
    exchange(request, true).await
}

async fn exchange(request: TestRequest, gives_up: bool) -> Exchange {
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
        // A middleware inside ours that fails before a route is matched.
        .wrap_fn(|request, service| {
            let refused = request.path() == "/middleware";
            let response = service.call(request);
            async move { if refused { Err(error::ErrorForbidden("no")) } else { response.await } }
        })
        .wrap(RequestMiddleware::new(log.clone(), Arc::clone(&metrics), Arc::new(UuidV7Ids)));
    let app = init_service(app).await;
    let response = {
        let mut response = Box::pin(app.call(request.to_request()));
        if gives_up {
            // Polled once: the request has begun.
            assert!(poll_fn(|cx| Poll::Ready(response.as_mut().poll(cx).is_pending())).await);
            None
        } else {
            Some(response.await)
        }
    };
    let response = match response {
        Some(Ok(response)) => response.into_parts().1,
        Some(Err(error)) => error.error_response(),
        // Never compared: an abandoned request has no response.
        None => HttpResponse::new(StatusCode::IM_A_TEAPOT),
    };
    // Flushes the log: all lines are in the buffer afterwards.
    drop(guard);
    let log = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = String::from_utf8(to_bytes(response.into_body()).await.unwrap().to_vec()).unwrap();
    Exchange { status, headers, body, lines, metrics }
}

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

#[actix_web::test]
async fn request_id_is_the_clients_if_valid_otherwise_new() {
    let longest = "x".repeat(128);
    let too_long = "x".repeat(129);
    for (id, is_valid) in [
        ("a", true),
        ("A-b_C.9", true),
        (longest.as_str(), true),
        (too_long.as_str(), false),
        ("", false),
        ("a b", false),
        ("a\"b", false),
        ("ä", false),
    ] {
        for path in ["/ok", "/nowhere"] {
            let exchange = send(get(path).insert_header(("x-request-id", id))).await;
            assert_eq!(exchange.request_id() == id, is_valid, "{id:?}");
            assert_eq!(exchange.line()["request_id"], exchange.request_id());
            if !is_valid {
                let new = Uuid::parse_str(exchange.request_id()).unwrap();
                assert_eq!(new.get_version_num(), 7);
            }
        }
    }
}

#[actix_web::test]
async fn error_is_a_problem_with_the_request_id() {
    for (path, status, code) in [
        ("/nowhere", 404, "not_found"),
        // The route exists for POST only.
        ("/events/a", 405, "method_not_allowed"),
        ("/refuses", 400, "batch_empty"),
        ("/fails", 400, "bad_request"),
        ("/middleware", 403, "forbidden"),
        ("/panics", 500, "internal"),
        // `x` is not a number: the path extractor of actix refuses it.
        ("/status/x", 404, "not_found"),
        ("/status/400", 400, "bad_request"),
        ("/status/408", 408, "request_timeout"),
        ("/status/413", 413, "payload_too_large"),
        ("/status/415", 415, "unsupported_media_type"),
        ("/status/417", 417, "expectation_failed"),
        ("/status/431", 431, "request_header_fields_too_large"),
        ("/status/500", 500, "internal"),
        ("/status/503", 503, "service_unavailable"),
    ] {
        let exchange = send(get(path).insert_header(("x-request-id", "r-1"))).await;
        let problem = exchange.problem();
        assert_eq!(exchange.status.as_u16(), status, "{path}: {problem}");
        assert_eq!(problem["code"], code, "{path}: {problem}");
        assert_eq!(problem["request_id"], "r-1", "{path}: {problem}");
        assert_eq!(exchange.request_id(), "r-1", "{path}");
        assert_eq!(exchange.line()["status"], status, "{path}");
        assert!(!exchange.headers.contains_key(CONTENT_LENGTH), "{path}: of the old body");
    }
}

#[actix_web::test]
async fn body_of_a_success_or_a_marked_error_is_kept() {
    for (path, status, body) in
        [("/ok", 200, "fine"), ("/status/302", 302, "abc"), ("/kept", 503, "{}")]
    {
        let exchange = send(get(path)).await;
        assert_eq!((exchange.status.as_u16(), &*exchange.body), (status, body), "{path}");
        assert!(!exchange.request_id().is_empty());
    }
}

#[actix_web::test]
async fn error_keeps_its_other_headers() {
    for (path, name, value) in [("/status/400", "x-kept", "yes"), ("/events/a", "allow", "POST")] {
        assert_eq!(send(get(path)).await.headers.get(name).unwrap(), value, "{path}");
    }
}

#[actix_web::test]
async fn request_line_and_metrics_have_the_facts_of_the_handler() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    // Neither the id in the path nor the query may appear in the log.
    let request = TestRequest::post().uri("/events/secret?auth=secret");
    let request =
        request.insert_header(("traceparent", trace)).insert_header(("x-request-id", "r-1"));
    let exchange = send(request).await;
    let mut line = exchange.line().as_object().unwrap().clone();
    // These two differ in every run.
    assert!(line.remove("ts").is_some() && line.remove("duration_ms").unwrap().is_number());
    let expected = json!({
        "level": "info", "msg": "request", "request_id": "r-1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "tenant_id": "1", "workspace_id": "2", "key_id": "k3v9", "method": "POST", "route": "/events/{event_id}",
        "status": 200, "events": 6, "accepted": 3, "duplicates": 2, "rejected": 1, "body_bytes": 1234,
    });
    assert_eq!(Value::Object(line), expected);
    let deep = exchange.lines.iter().find(|line| line["msg"] == "deep").unwrap();
    for id in ["request_id", "trace_id"] {
        assert_eq!(deep[id], expected[id]);
    }

    let numbers = exchange.metrics.snapshot();
    assert_eq!(
        (numbers.events_accepted, numbers.events_duplicate, numbers.events_rejected),
        (3, 2, 1)
    );
    let printed = exchange.metrics.render(&ServerReading::default());
    for line in [
        "mercurio_http_requests_total{method=\"POST\",route=\"/events/{event_id}\",status=\"200\"} 1",
        "mercurio_tenant_events_total{tenant_id=\"1\",verdict=\"accepted\"} 3",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
}

#[actix_web::test]
async fn long_method_is_cut_in_the_log() {
    let method = "M".repeat(60_000);
    let request = get("/ok").method(Method::from_bytes(method.as_bytes()).unwrap());
    let exchange = send(request).await;
    assert_eq!(exchange.line()["method"], method[..32]);
    let printed = exchange.metrics.render(&ServerReading::default());
    assert!(!printed.contains("MMM"), "{printed:.1000}");
}

#[actix_web::test]
async fn malformed_traceparent_is_ignored() {
    let exchange = send(get("/ok").insert_header(("traceparent", "00-zz-zz-00"))).await;
    assert_eq!((exchange.status, exchange.line().get("trace_id")), (StatusCode::OK, None));
}

#[actix_web::test]
async fn panic_is_logged_with_its_request_but_not_its_message() {
    let exchange = send(get("/panics").insert_header(("x-request-id", "r-1"))).await;
    let line = exchange.lines.iter().find(|line| line["msg"] == "handler panicked").unwrap();
    assert_eq!((&line["request_id"], &line["level"]), (&json!("r-1"), &json!("error")));
    let line = exchange.line();
    assert_eq!((&line["status"], &line["level"]), (&json!(500), &json!("warning")));
    // A panic message may contain a client's data.
    assert!(!format!("{:?} {}", exchange.lines, exchange.body).contains("own panic"));
}

#[actix_web::test]
async fn abandoned_request_is_logged_and_counted() {
    let exchange = abandon(get("/never").insert_header(("x-request-id", "r-1"))).await;
    let line = exchange.line();
    assert_eq!((&line["status"], &line["request_id"]), (&json!(499), &json!("r-1")));
    let printed = exchange.metrics.render(&ServerReading::default());
    assert!(printed.contains("{method=\"GET\",route=\"none\",status=\"499\"} 1"), "{printed}");
}

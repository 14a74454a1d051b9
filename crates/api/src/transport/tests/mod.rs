//! Whole servers over real sockets.

mod client;

use super::*;
use crate::body::{Bodies, BodyError, BodyHeaders, BodyLimits, Payer};
use crate::middleware::RequestMiddleware;
use crate::problem::Problem;
use actix_web::{App, HttpRequest, HttpResponse, web};
use client::{get, head, last_get, post, send_in_turn, send_then_read, statuses};
use mercurio_domain::TenantId;
use mercurio_enrichment::TrustedProxies;
use mercurio_observability::metrics::ServerReading;
use mercurio_runtime::system::UuidV7Ids;
use serde_json::Value;
use slog::{Discard, Logger, o};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Client};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

// Too large for one write to a socket.
const LARGE_BYTES: usize = 8 * 1024 * 1024;

async fn large() -> HttpResponse {
    // Ends like a bare response, except for the id in the head.
    let mut body = vec![b'x'; LARGE_BYTES];
    body.extend_from_slice(b"\r\n\r\n");
    HttpResponse::Ok().body(body)
}

static BODIES: LazyLock<Bodies> =
    LazyLock::new(|| Bodies::start(1024 * 1024, 1).expect("test set-up"));

async fn count(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let (payer, timeout) = (Payer::Tenant(TenantId(1)), Duration::from_secs(10));
    let limits = BodyLimits { payer, max_bytes: 1000, timeout, headers: BodyHeaders::Exact };
    match BODIES.read(&request, payload, limits, &Metrics::new()).await {
        Ok(body) => Ok(HttpResponse::Ok().body(body.bytes.len().to_string())),
        Err(BodyError::Refused(problem)) => Err(problem),
        Err(BodyError::Overloaded(_)) => Err(Problem::Overloaded { retry_after_seconds: 1 }),
    }
}

async fn with_key(request: HttpRequest) -> HttpResponse {
    ConnectionActivity::note_key(&request);
    HttpResponse::Ok().finish()
}

async fn panics() -> HttpResponse {
    std::hint::black_box(None::<HttpResponse>).expect("the test's own panic")
}

struct Running {
    addr: SocketAddr,
    servers: Servers,
    metrics: Arc<Metrics>,
}

fn start(options: ServerOptions) -> Running {
    let metrics = Metrics::new();
    let counted = Arc::clone(&metrics);
    let mut servers = Servers::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    servers
        .start(listener, options, Arc::clone(&metrics), move || {
            let middleware = RequestMiddleware::new(
                Logger::root(Discard, o!()),
                Arc::clone(&counted),
                Arc::new(UuidV7Ids),
            );
            let ok = || async { HttpResponse::Ok().body("fine") };
            App::new()
                .service(web::resource("/ok").route(web::get().to(ok)).route(web::head().to(ok)))
                .route("/large", web::get().to(large))
                .route("/count", web::post().to(count))
                .route("/empty", web::get().to(|| async { HttpResponse::NoContent().finish() }))
                .route("/panics", web::get().to(panics))
                .route("/with-key", web::get().to(with_key))
                .wrap(middleware)
        })
        .unwrap();
    Running { addr, servers, metrics }
}

fn one_thread() -> ServerOptions {
    ServerOptions { threads: 1, linger: Duration::from_secs(5), ..ServerOptions::default() }
}

#[tokio::test]
async fn request_refused_before_the_app_gets_a_problem() {
    let server = start(one_thread());
    // actix-http refuses heads over 128 KiB.
    let oversized = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(400_000));
    for (request, status, code) in [
        ("not http\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/9.9\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400, "bad_request"),
        (oversized.as_str(), 431, "request_header_fields_too_large"),
    ] {
        let responses = send_then_read(server.addr, request).await;
        assert_eq!(statuses(&responses), [status], "{request:.60?}");
        assert_eq!(responses[0].problem()["code"], code, "{request:.60?}");
        assert_eq!(responses[0].headers["connection"], "close");
        assert!(responses[0].headers.contains_key("date"));
    }
    assert_eq!(refusals_counted(&server.metrics), 5);
    server.servers.stop().await;
}

#[tokio::test]
async fn tls_handshake_gets_a_problem_in_plain_http() {
    let server = start(one_thread());
    // The beginning of a ClientHello: TLS 1.0 in the record, 512 bytes.
    let hello = [&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01][..], &[0; 511]].concat();
    for hello in [&hello[..], &hello[..1]] {
        let responses = send_then_read(server.addr, hello).await;
        assert_eq!(statuses(&responses), [400]);
        let problem = responses[0].problem();
        assert!(problem["detail"].as_str().unwrap().contains("Use http://"), "{problem}");
    }
    assert_eq!(refusals_counted(&server.metrics), 2);
    server.servers.stop().await;
}

#[tokio::test]
async fn client_that_connected_before_the_start_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Client::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(last_get("/").as_bytes()).unwrap();
    let mut servers = Servers::default();
    let app = || App::new().route("/", web::get().to(HttpResponse::NoContent));
    servers.start(listener, one_thread(), Metrics::new(), app).unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        client.read_to_string(&mut answer).map(|_| answer)
    });
    assert!(answer.await.unwrap().unwrap().starts_with("HTTP/1.1 204 "));
    servers.stop().await;
}

/// Returns the number of requests without a method and a route that got a 4xx.
fn refusals_counted(metrics: &Metrics) -> u64 {
    let series = "mercurio_http_requests_total{method=\"other\",route=\"none\",status=\"4";
    let printed = metrics.render(&ServerReading::default());
    let lines = printed.lines().filter(|line| line.starts_with(series));
    lines.filter_map(|line| line.split(' ').nth(1)?.parse::<u64>().ok()).sum()
}

#[tokio::test]
async fn slow_first_head_gets_a_problem() {
    let server = start(ServerOptions { head_timeout: Duration::from_millis(50), ..one_thread() });
    let responses = send_then_read(server.addr, "GET / HTTP/1.1\r\nHost:").await;
    assert_eq!(statuses(&responses), [408]);
    assert_eq!(responses[0].problem()["code"], "request_timeout");
    server.servers.stop().await;
}

/// Sends a request, then a head byte by byte, until the server closes the connection. Returns all
/// responses.
fn send_endless_head(addr: SocketAddr) -> String {
    let mut client = Client::connect(addr).unwrap();
    client.write_all(get("/ok").as_bytes()).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let (start, mut received, mut buffer) = (Instant::now(), Vec::new(), [0; 4096]);
    while start.elapsed() < Duration::from_secs(30) {
        match client.read(&mut buffer) {
            Ok(0) => return String::from_utf8(received).unwrap(),
            Ok(read) => received.extend_from_slice(&buffer[..read]),
            Err(_) => client.write_all(b"x").unwrap(),
        }
    }
    panic!("the connection stays open");
}

#[tokio::test]
async fn slow_later_head_gets_a_problem() {
    let server = start(ServerOptions { head_timeout: Duration::from_millis(50), ..one_thread() });
    let addr = server.addr;
    let responses = tokio::task::spawn_blocking(move || send_endless_head(addr)).await.unwrap();
    let (first, second) = responses.split_once("fine").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
    assert!(second.starts_with("HTTP/1.1 408 "), "{second}");
    assert!(second.contains("\r\ndate: ") && second.contains("request_timeout"), "{second}");
    server.servers.stop().await;
}

/// Sends a request, then waits. Returns whether the server closed the connection within a second.
async fn is_closed_when_idle(addr: SocketAddr, path: &'static str) -> bool {
    let closed = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(addr).unwrap();
        client.write_all(get(path).as_bytes()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        client.read_to_end(&mut Vec::new()).is_ok()
    });
    closed.await.unwrap()
}

#[tokio::test]
async fn idle_connection_without_a_key_closes_early() {
    let short = ServerOptions { stranger_keep_alive: Duration::from_millis(50), ..one_thread() };
    let server = start(short.clone());
    assert!(is_closed_when_idle(server.addr, "/ok").await);
    assert!(!is_closed_when_idle(server.addr, "/with-key").await);
    server.servers.stop().await;
    // A proxy sends the requests of many clients over one connection.
    let trusted_proxies = TrustedProxies::parse("127.0.0.1").unwrap();
    let server = start(ServerOptions { trusted_proxies, ..short });
    assert!(!is_closed_when_idle(server.addr, "/ok").await);
    server.servers.stop().await;
}

#[tokio::test]
async fn silent_connection_closes_early() {
    let stranger_keep_alive = Duration::from_millis(50);
    let server = start(ServerOptions { stranger_keep_alive, ..one_thread() });
    assert!(send_then_read(server.addr, "").await.is_empty());
    server.servers.stop().await;
}

#[tokio::test]
async fn slow_body_outlasts_the_timeouts_of_heads_and_pauses() {
    let short = Duration::from_millis(50);
    let server =
        start(ServerOptions { head_timeout: short, stranger_keep_alive: short, ..one_thread() });
    let addr = server.addr;
    let response = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(addr).unwrap();
        client.write_all(b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na").unwrap();
        // Nothing arrives before the end of the body.
        client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        client.read_exact(&mut [0]).unwrap_err();
        client.write_all(b"b").unwrap();
        let mut status = [0; 12];
        client.read_exact(&mut status).unwrap();
        status
    });
    assert_eq!(&response.await.unwrap(), b"HTTP/1.1 200");
    server.servers.stop().await;
}

#[tokio::test]
async fn client_that_does_not_read_is_ended() {
    let server = start(ServerOptions {
        write_timeout: Duration::from_millis(200),
        // These must not be what ends the connection.
        answer_timeout: Duration::from_secs(600),
        keep_alive: Duration::from_secs(600),
        stranger_keep_alive: Duration::from_secs(600),
        head_timeout: Duration::from_secs(600),
        ..one_thread()
    });
    let addr = server.addr;
    let ended = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(addr).unwrap();
        client.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        // The responses and the requests fill all buffers, until the server closes the connection.
        loop {
            if let Err(error) = client.write_all(get("/large").as_bytes()) {
                return error.kind();
            }
        }
    });
    let kind = ended.await.unwrap();
    assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind:?}");
    server.servers.stop().await;
}

#[tokio::test]
async fn responses_before_a_refusal_in_a_pipeline_are_untouched() {
    let server = start(one_thread());
    let requests =
        [get("/ok"), get("/nowhere"), get("/empty"), get("/ok"), "garbage\r\n\r\n".to_owned()];
    let responses = send_then_read(server.addr, requests.concat()).await;
    assert_eq!(statuses(&responses), [200, 404, 204, 200, 400]);
    assert_eq!((&*responses[0].body, &*responses[3].body), (&b"fine"[..], &b"fine"[..]));
    assert_eq!(responses[1].problem()["code"], "not_found");
    assert_eq!(responses[4].problem()["code"], "bad_request");
    server.servers.stop().await;
}

#[tokio::test]
async fn connection_survives_large_responses_head_and_panics() {
    let server = start(one_thread());
    let requests = vec![
        get("/large"),
        head("/ok"),
        get("/panics"),
        head("/nowhere"),
        get("/large"),
        get("/ok"),
    ];
    let responses = send_in_turn(server.addr, requests).await;
    assert_eq!(statuses(&responses), [200, 200, 500, 404, 200, 200]);
    for large in [&responses[0].body, &responses[4].body] {
        assert!(large.len() == LARGE_BYTES + 4 && large.ends_with(b"x\r\n\r\n"), "{}", large.len());
    }
    assert_eq!(responses[1].headers["content-length"], "4");
    assert_eq!(responses[2].problem()["code"], "internal");
    assert!(responses.iter().all(|response| response.headers.contains_key("x-request-id")));
    server.servers.stop().await;
}

#[tokio::test]
async fn drained_body_keeps_its_connection_open() {
    const MEBIBYTE: usize = 1024 * 1024;
    let server = start(one_thread());
    // Below the drain limit of 4 MiB: the rest is read, and the connection stays open.
    let body = "x".repeat(MEBIBYTE);
    let chunked = format!(
        "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n{body}\r\n0\r\n\r\n"
    );
    for (request, actual) in
        [(post("/count", "", &body), Value::from(MEBIBYTE)), (chunked, Value::Null)]
    {
        let responses = send_then_read(server.addr, [request, last_get("/ok")].concat()).await;
        assert_eq!(statuses(&responses), [413, 200], "{actual}");
        let problem = responses[0].problem();
        assert_eq!((&problem["limit"], &problem["actual"]), (&1000.into(), &actual));
    }
    server.servers.stop().await;
}

#[tokio::test]
async fn body_is_asked_for_only_if_it_is_read() {
    let server = start(one_thread());
    for (path, length, status) in [("/count", 3, 100), ("/count", 2_000, 413), ("/ok", 3, 405)] {
        // Sends no body before it is asked to.
        let headers =
            format!("Content-Length: {length}\r\nExpect: 100-continue\r\nConnection: close");
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n");
        let first = tokio::task::spawn_blocking(move || {
            let mut client = Client::connect(server.addr).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            client.write_all(request.as_bytes()).unwrap();
            let mut first = [0; 12];
            client.read_exact(&mut first).unwrap();
            let mut rest = Vec::new();
            if first.ends_with(b"100") {
                client.write_all(b"abc").unwrap();
                client.read_to_end(&mut rest).unwrap();
                assert!(rest.starts_with(b" Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
            }
            first
        });
        let first = String::from_utf8(first.await.unwrap().to_vec()).unwrap();
        assert_eq!(first, format!("HTTP/1.1 {status}"), "{path} {length}");
    }
    // A client that does not wait works as well, also on a kept connection.
    let expecting = |body: &str| post("/count", "Expect: 100-continue\r\n", body);
    let requests = [expecting("abc"), expecting("abcd"), last_get("/ok")].concat();
    let responses = send_then_read(server.addr, requests).await;
    assert_eq!(statuses(&responses), [200, 200, 200]);
    server.servers.stop().await;
}

#[tokio::test]
async fn refusal_of_a_huge_body_is_not_lost_to_a_reset() {
    let server = start(one_thread());
    // Over the drain limit of 4 MiB: only the lingering close saves the response.
    let huge = "x".repeat(16 * 1024 * 1024);
    for (path, status, code) in
        [("/count", 413, "payload_too_large"), ("/nowhere", 404, "not_found")]
    {
        let responses = send_in_turn(server.addr, vec![post(path, "", &huge)]).await;
        assert_eq!(statuses(&responses), [status]);
        assert_eq!(responses[0].problem()["code"], code);
    }
    server.servers.stop().await;
}

#[tokio::test]
async fn damaged_chunks_get_a_problem() {
    let server = start(one_thread());
    let request =
        "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n\r\n";
    let responses = send_then_read(server.addr, request).await;
    // One from the handler, and possibly one from the decoder of actix-http.
    assert!(!responses.is_empty());
    for response in responses {
        assert_eq!(response.problem()["code"], "bad_request");
    }
    server.servers.stop().await;
}

#[tokio::test]
async fn connection_is_counted_while_it_is_open() {
    let server = start(one_thread());
    let (addr, metrics) = (server.addr, Arc::clone(&server.metrics));
    let open = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(addr).unwrap();
        client.write_all(get("/ok").as_bytes()).unwrap();
        // The first byte of the response proves that the connection is counted.
        client.read_exact(&mut [0]).unwrap();
        let open = metrics.snapshot().connections_open;
        client.shutdown(Shutdown::Write).unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
        open
    });
    assert_eq!(open.await.unwrap(), 1);
    server.servers.stop().await;
    assert_eq!(server.metrics.snapshot().connections_open, 0);
}

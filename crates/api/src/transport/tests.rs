//! Whole servers, talked to over real sockets.

use super::*;
use crate::body::{BodyLimits, read};
use crate::middleware::RequestMiddleware;
use crate::problem::Problem;
use actix_web::{App, HttpRequest, HttpResponse, web};
use mercurio_observability::metrics::ServerReading;
use serde_json::Value;
use slog::{Discard, Logger, o};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream as Client};

const LARGE_BYTES: usize = 8 * 1024 * 1024;

async fn large() -> HttpResponse {
    // Its end looks like that of a refusal, but for the id in the head.
    let mut body = vec![b'x'; LARGE_BYTES];
    body.extend_from_slice(b"\r\n\r\n");
    HttpResponse::Ok().body(body)
}

async fn count(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let limits = BodyLimits { max_bytes: 1000, timeout: Duration::from_secs(10) };
    let body = read(&request, payload, limits, &Metrics::new()).await?;
    Ok(HttpResponse::Ok().body(body.len().to_string()))
}

async fn panics() -> HttpResponse {
    std::hint::black_box(None::<HttpResponse>).expect("the test's own panic")
}

struct Running {
    addr: SocketAddr,
    servers: Servers,
    metrics: Arc<Metrics>,
}

fn start(options: Options) -> Running {
    let metrics = Metrics::new();
    let counted = Arc::clone(&metrics);
    let mut servers = Servers::default();
    let app = move || {
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
            .wrap(middleware)
    };
    let addr =
        servers.start("127.0.0.1:0".parse().unwrap(), options, Arc::clone(&metrics), app).unwrap();
    Running { addr, servers, metrics }
}

fn quick() -> Options {
    Options { workers: 1, linger: Duration::from_secs(5), ..Options::default() }
}

struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"], self.headers["x-request-id"]);
        problem
    }
}

/// Takes the first response off `bytes`, which hold all of it; `head` says that it answers HEAD and has no body.
fn take_answer(bytes: &mut Vec<u8>, head: bool) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..end]).unwrap();
    let status: u16 = text.split(' ').nth(1).unwrap().parse().unwrap();
    let lines = text.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers: HashMap<String, String> =
        lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let length = if head { 0 } else { length };
    let body = bytes.get(end..end + length)?.to_vec();
    bytes.drain(..end + length);
    if status == 100 { take_answer(bytes, head) } else { Some(Answer { status, headers, body }) }
}

fn connect(addr: SocketAddr) -> Client {
    let client = Client::connect(addr).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client
}

/// Sends everything, then reads to the end, as a simple client does.
async fn exchange(addr: SocketAddr, request: impl Into<Vec<u8>>) -> Vec<Answer> {
    let request = request.into();
    let work = move || {
        let mut client = connect(addr);
        client.write_all(&request).expect("the server takes what is sent");
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).expect("no reset before the answer");
        let answers: Vec<Answer> = std::iter::from_fn(|| take_answer(&mut bytes, false)).collect();
        assert!(bytes.is_empty(), "{}", String::from_utf8_lossy(&bytes));
        answers
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Sends one request after the other over a connection that stays open.
async fn converse(addr: SocketAddr, requests: Vec<String>) -> Vec<Answer> {
    let work = move || {
        let mut client = connect(addr);
        let mut bytes = Vec::new();
        let answer = |request: String| {
            client.write_all(request.as_bytes()).unwrap();
            loop {
                if let Some(answer) = take_answer(&mut bytes, request.starts_with("HEAD")) {
                    return answer;
                }
                let mut more = [0; 65_536];
                let read = client.read(&mut more).unwrap();
                assert!(read > 0, "closed before the answer to {request}");
                bytes.extend_from_slice(&more[..read]);
            }
        };
        requests.into_iter().map(answer).collect()
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn last(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

#[tokio::test]
async fn what_is_refused_below_the_app_is_a_problem() {
    let server = start(quick());
    for (request, status, code) in [
        ("not http\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n".to_owned(), 400, "bad_request"),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(400_000)),
            431,
            "request_header_fields_too_large",
        ),
    ] {
        let shown = request.chars().take(60).collect::<String>();
        let answers = exchange(server.addr, request).await;
        assert_eq!(statuses(&answers), [status], "{shown:?}");
        assert_eq!(answers[0].problem()["code"], code, "{shown:?}");
        assert_eq!(answers[0].headers["connection"], "close");
        assert!(answers[0].headers.contains_key("date"));
    }
    let printed = server.metrics.render(&ServerReading::default());
    let counted: u64 = printed
        .lines()
        .filter(|line| {
            line.starts_with(
                "mercurio_http_requests_total{method=\"other\",route=\"none\",status=\"4",
            )
        })
        .filter_map(|line| line.split(' ').nth(1)?.parse::<u64>().ok())
        .sum();
    assert_eq!(counted, 5, "{printed}");
    server.servers.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_slow_is_a_problem() {
    let server = start(Options { head_timeout: Duration::from_millis(50), ..quick() });
    let answers = exchange(server.addr, "GET / HTTP/1.1\r\nHost:").await;
    assert_eq!(statuses(&answers), [408]);
    assert_eq!(answers[0].problem()["code"], "request_timeout");
    server.servers.stop().await;
}

#[tokio::test]
async fn a_later_head_that_never_ends_does_not_hold_its_connection() {
    let timeout = Duration::from_millis(500);
    let server = start(Options {
        answer_timeout: timeout,
        keep_alive: timeout,
        head_timeout: Duration::from_secs(60),
        ..quick()
    });
    let answers =
        exchange(server.addr, [get("/ok"), "GET / HTTP/1.1\r\nHost:".to_owned()].concat()).await;
    assert_eq!(statuses(&answers), [200]);
    server.servers.stop().await;
}

#[tokio::test]
async fn answers_before_a_refusal_in_the_same_pipeline_are_untouched() {
    let server = start(quick());
    let request =
        [get("/ok"), get("/nowhere"), get("/empty"), get("/ok"), "garbage\r\n\r\n".to_owned()]
            .concat();
    let answers = exchange(server.addr, request).await;
    assert_eq!(statuses(&answers), [200, 404, 204, 200, 400]);
    assert_eq!((&*answers[0].body, &*answers[3].body), (&b"fine"[..], &b"fine"[..]));
    assert_eq!(answers[1].problem()["code"], "not_found");
    assert_eq!(answers[4].problem()["code"], "bad_request");
    server.servers.stop().await;
}

#[tokio::test]
async fn large_answers_and_head_and_panics_go_over_one_connection() {
    let server = start(quick());
    let head = |path| format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let requests = vec![
        get("/large"),
        head("/ok"),
        get("/panics"),
        head("/nowhere"),
        get("/large"),
        get("/ok"),
    ];
    let answers = converse(server.addr, requests).await;
    assert_eq!(statuses(&answers), [200, 200, 500, 404, 200, 200]);
    for large in [&answers[0].body, &answers[4].body] {
        assert!(large.len() == LARGE_BYTES + 4 && large.ends_with(b"x\r\n\r\n"), "{}", large.len());
    }
    assert_eq!(answers[1].headers["content-length"], "4");
    assert_eq!(answers[2].problem()["code"], "internal");
    assert!(answers.iter().all(|answer| answer.headers.contains_key("x-request-id")));
    server.servers.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_first_and_reads_later_gets_to_know_why_its_body_was_refused() {
    let server = start(quick());
    let mebibyte = "x".repeat(1024 * 1024);
    let large = "x".repeat(16 * 1024 * 1024);
    let post = |path: &str, body: &str, connection: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{connection}\r\n{body}",
            body.len()
        )
    };
    let chunked = format!(
        "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n{mebibyte}\r\n0\r\n\r\n"
    );
    let limited = || Value::from(1000);
    for (request, actual) in [
        (post("/count", &mebibyte, ""), Value::from(1024 * 1024)),
        (post("/count", &mebibyte, "Expect: 100-continue\r\n"), Value::from(1024 * 1024)),
        (chunked, Value::Null),
    ] {
        // The body was drained, so the connection goes on.
        let answers = exchange(server.addr, [request, last("/ok")].concat()).await;
        assert_eq!(statuses(&answers), [413, 200], "{actual}");
        let problem = answers[0].problem();
        assert_eq!((&problem["limit"], &problem["actual"]), (&limited(), &actual));
    }
    // Too much to drain: the answer comes at once, and is not lost to a reset.
    let answers = converse(server.addr, vec![post("/count", &large, "")]).await;
    assert_eq!(statuses(&answers), [413]);
    let answers = converse(server.addr, vec![post("/nowhere", &large, "")]).await;
    assert_eq!(statuses(&answers), [404]);
    assert_eq!(answers[0].problem()["code"], "not_found");
    server.servers.stop().await;
}

#[tokio::test]
async fn a_body_whose_chunks_are_damaged_is_a_problem() {
    let server = start(quick());
    let request =
        "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n\r\n";
    let answers = exchange(server.addr, request).await;
    assert!(!answers.is_empty());
    for answer in answers {
        assert_eq!(answer.problem()["code"], "bad_request");
    }
    server.servers.stop().await;
}

#[tokio::test]
async fn a_connection_is_counted_while_it_is_open() {
    let server = start(quick());
    let (addr, metrics) = (server.addr, Arc::clone(&server.metrics));
    let open = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(addr).unwrap();
        client.write_all(get("/ok").as_bytes()).unwrap();
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

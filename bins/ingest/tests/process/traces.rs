//! Spans of a real server, sent to a collector of the test. A collector that hangs delays nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::server::{Deployment, Server, command};

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a collector. The channel yields each request: the request line, then the body.
fn collector() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        while let Ok((connection, _)) = listener.accept() {
            let sender = sender.clone();
            std::thread::spawn(move || take(connection, &sender));
        }
    });
    (addr, receiver)
}

fn take(connection: TcpStream, sender: &Sender<Vec<u8>>) {
    let mut reader = BufReader::new(connection);
    loop {
        let (mut line, mut posted, mut length) = (String::new(), Vec::new(), 0);
        // An empty line, CR LF, ends the head.
        while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
            match line.to_ascii_lowercase().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().unwrap(),
                _ if posted.is_empty() => posted.extend_from_slice(line.as_bytes()),
                _ => {}
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if posted.is_empty() || reader.read_exact(&mut body).is_err() {
            return;
        }
        posted.extend(body);
        sender.send(posted).ok();
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

fn server_with(deployment: &Deployment, collector: SocketAddr, ratio: &str) -> Server {
    let mut command = command(&deployment.database.url_text());
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"));
    Server::with(command.env("OTEL_TRACES_SAMPLER_ARG", ratio))
}

fn stop(server: Server) -> (ExitStatus, Vec<String>) {
    server.signal("INT");
    let (status, stdout, _) = server.wait();
    (status, stdout)
}

#[test]
fn traced_request_reaches_the_collector_and_the_log() {
    let (deployment, (addr, posted)) = (Deployment::postgres(), collector());
    let server = server_with(&deployment, addr, "1");
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(client.batch(&["a".to_owned()], &deployment.key).unwrap().status, 200);
    // A probe, to be missing in the traces below.
    assert_eq!(client.get("/health/live", "").unwrap().status, 200);
    let (status, stdout) = stop(server);
    assert!(status.success());

    let mut all = Vec::new();
    while let Ok(more) = posted.try_recv() {
        all.extend(more);
    }
    let has = |text: &str| all.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(
        all.starts_with(b"POST /v1/traces HTTP/1.1"),
        "{}",
        String::from_utf8_lossy(&all[..40.min(all.len())])
    );
    for name in [
        "POST /v1/events/batch",
        "service.name",
        "authenticate",
        "receive",
        "parse",
        "enrich",
        "queue",
        "commit",
    ] {
        assert!(has(name), "{name}");
    }
    assert!(!has("/health/live"), "probes are not traced");
    assert!(!has(deployment.key.as_str()), "the key");
    let line =
        stdout.iter().find(|line| line.contains("/v1/events/batch")).expect("the closing line");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let trace_id = line["trace_id"].as_str().expect("a trace id");
    let bytes: Vec<u8> =
        (0..16).map(|at| u8::from_str_radix(&trace_id[at * 2..at * 2 + 2], 16).unwrap()).collect();
    assert!(all.windows(16).any(|window| window == bytes), "the span has the id of the log");
}

#[test]
fn hanging_collector_delays_neither_requests_nor_shutdown() {
    let deployment = Deployment::sqlite();
    // Accepts connections in the kernel and never reads from them.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = server_with(&deployment, hanging.local_addr().unwrap(), "1");
    let mut client = Client::connect(server.addr).unwrap();
    // More spans than the queue holds.
    for number in 0..600 {
        let answer = client.batch(&[format!("event {number}")], &deployment.key).unwrap();
        assert_eq!(answer.status, 200);
    }
    let start = Instant::now();
    let (status, _) = stop(server);
    assert!(status.success());
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

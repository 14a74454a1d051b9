//! A plain HTTP/1.1 client over a socket.

use serde_json::Value;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"], self.headers["x-request-id"]);
        problem
    }
}

pub(super) fn statuses(responses: &[Response]) -> Vec<u16> {
    responses.iter().map(|response| response.status).collect()
}

pub(super) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

pub(super) fn last_get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

pub(super) fn head(path: &str) -> String {
    format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

pub(super) fn post(path: &str, header: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{header}\r\n{body}",
        body.len()
    )
}

/// Sends everything, then reads to the end, as a simple client does.
pub(super) async fn send_then_read(addr: SocketAddr, request: impl Into<Vec<u8>>) -> Vec<Response> {
    let request = request.into();
    tokio::task::spawn_blocking(move || blocking_send_then_read(addr, &request)).await.unwrap()
}

fn blocking_send_then_read(addr: SocketAddr, request: &[u8]) -> Vec<Response> {
    let mut stream = connect(addr);
    stream.write_all(request).expect("the server reads everything");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("no reset before the response");
    let responses = std::iter::from_fn(|| take_response(&mut bytes, false)).collect();
    assert!(bytes.is_empty(), "{}", String::from_utf8_lossy(&bytes));
    responses
}

/// Sends each request after the response to the previous one, over one connection.
pub(super) async fn send_in_turn(addr: SocketAddr, requests: Vec<String>) -> Vec<Response> {
    tokio::task::spawn_blocking(move || blocking_send_in_turn(addr, &requests)).await.unwrap()
}

fn blocking_send_in_turn(addr: SocketAddr, requests: &[String]) -> Vec<Response> {
    let mut stream = connect(addr);
    let mut bytes = Vec::new();
    let mut responses = Vec::new();
    for request in requests {
        stream.write_all(request.as_bytes()).unwrap();
        let response = loop {
            if let Some(response) = take_response(&mut bytes, request.starts_with("HEAD")) {
                break response;
            }
            let mut more = [0; 65_536];
            let read = stream.read(&mut more).unwrap();
            assert!(read > 0, "closed before the response to {request}");
            bytes.extend_from_slice(&more[..read]);
        };
        responses.push(response);
    }
    responses
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    // A hanging server fails the test instead of blocking it.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Takes the first response off `bytes`; `None` if it is incomplete. `to_head`: it has no body, as
/// a response to HEAD.
fn take_response(bytes: &mut Vec<u8>, to_head: bool) -> Option<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..end]).unwrap();
    let status: u16 = text.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = HashMap::new();
    for line in text.lines().skip(1) {
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let length = if to_head { 0 } else { length };
    let body = bytes.get(end..end + length)?.to_vec();
    bytes.drain(..end + length);
    // 100 Continue precedes the response.
    if status == 100 {
        take_response(bytes, to_head)
    } else {
        Some(Response { status, headers, body })
    }
}

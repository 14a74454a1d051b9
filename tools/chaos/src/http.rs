//! A minimal HTTP client on one connection.

use std::net::SocketAddr;
use std::time::Duration;

use mercurio_history::Answer;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::Error;

/// Longer than any answer takes: the server gives up a commit after 10 s.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A response to a batch.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    is_last: bool,
}

#[derive(Deserialize)]
struct BatchAnswer<'a> {
    #[serde(borrow)]
    results: Vec<BatchResult<'a>>,
}

#[derive(Deserialize)]
struct BatchResult<'a> {
    event_id: &'a str,
    status: &'a str,
}

impl Response {
    /// The verdicts of a 200, if it names the events with `ids` in order.
    pub(crate) fn answers<'a>(
        &self,
        ids: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<Vec<Answer>, Error> {
        let answer: BatchAnswer<'_> = serde_json::from_slice(&self.body)?;
        if answer.results.len() != ids.len() {
            return Err("there is not one result for each event".into());
        }
        let mut answers = Vec::with_capacity(answer.results.len());
        for (result, id) in answer.results.iter().zip(ids) {
            if result.event_id != id {
                return Err(format!("the result of {id} is of {}", result.event_id).into());
            }
            let status = Answer::from_status(result.status);
            answers.push(status.ok_or("a result has an unknown status")?);
        }
        Ok(answers)
    }
}

/// A connection to a server, opened when it is needed.
#[derive(Debug)]
pub(crate) struct Connection {
    addr: SocketAddr,
    stream: Option<TcpStream>,
}

impl Connection {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, stream: None }
    }

    /// Sends a batch and reads the response. After an error the outcome is unknown.
    pub(crate) async fn send(&mut self, key: &str, body: &[u8]) -> Result<Response, Error> {
        self.exchange(&post(key, body)).await
    }

    /// Reads a resource.
    pub(crate) async fn get(&mut self, key: &str, path: &str) -> Result<Response, Error> {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: chaos\r\nauthorization: Bearer {key}\r\n\r\n");
        self.exchange(request.as_bytes()).await
    }

    /// Sends a batch and closes the connection after `pause`, without reading a response.
    pub(crate) async fn abandon(&mut self, key: &str, body: &[u8], pause: Duration) {
        if self.write(&post(key, body)).await.is_ok() {
            tokio::time::sleep(pause).await;
        }
        self.stream = None;
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Response, Error> {
        let response = tokio::time::timeout(TIMEOUT, self.write_and_read(request)).await;
        let response = response.unwrap_or_else(|_| Err("no response in time".into()));
        if response.as_ref().map_or(true, |response| response.is_last) {
            self.stream = None;
        }
        response
    }

    async fn write_and_read(&mut self, request: &[u8]) -> Result<Response, Error> {
        self.write(request).await?;
        read(self.stream.as_mut().ok_or("not connected")?).await
    }

    async fn write(&mut self, request: &[u8]) -> Result<(), Error> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.addr).await?;
            // Nagle's algorithm would hold back the end of a request.
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        let stream = self.stream.as_mut().ok_or("not connected")?;
        Ok(stream.write_all(request).await?)
    }
}

/// The request with a batch.
fn post(key: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST /v1/events/batch HTTP/1.1\r\nhost: chaos\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

async fn read(stream: &mut TcpStream) -> Result<Response, Error> {
    let mut bytes = Vec::with_capacity(8 * 1024);
    // An empty line ends the head (RFC 9112, section 2.1).
    let end = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err("the server closed the connection".into());
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let head = std::str::from_utf8(&bytes[..end])?.to_owned();
    let status = head.split(' ').nth(1).ok_or("a response has no status")?.parse()?;
    // The server writes header names in lower case.
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.ok_or("a response has no content-length")?.trim().parse()?;
    let mut body = bytes.split_off(end + 4);
    let received = body.len();
    if received < length {
        body.resize(length, 0);
        stream.read_exact(&mut body[received..]).await?;
    }
    let is_last = head.lines().any(|line| line.eq_ignore_ascii_case("connection: close"));
    Ok(Response { status, body, is_last })
}

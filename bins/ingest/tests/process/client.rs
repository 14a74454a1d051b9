//! A small blocking HTTP client on one connection.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mercurio_history::{Digest, Payload, SentEvent};
use serde_json::Value;

/// A connection to a server.
pub(crate) struct Client {
    addr: SocketAddr,
    reader: BufReader<TcpStream>,
    /// The last response announced that the server closes the connection.
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) content_type: String,
    pub(crate) json: Value,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(addr)?, addr)
    }

    /// Returns a client on a connection. A later one comes from any address.
    pub(crate) fn over(stream: TcpStream, addr: SocketAddr) -> io::Result<Self> {
        // Longer than any request: a hanging server fails its test.
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        Ok(Self { addr, reader: BufReader::new(stream), closed: false })
    }

    pub(crate) fn get(&mut self, path: &str, key: &str) -> io::Result<Response> {
        self.call("GET", path, key, "")
    }

    pub(crate) fn batch(&mut self, ids: &[String], key: &str) -> io::Result<Response> {
        let mut events = Vec::new();
        for id in ids {
            let properties = properties_of(id);
            events.push(format!(
                r#"{{"event_id":"{id}","event_name":"n","user_id":"u","properties":{properties}}}"#
            ));
        }
        self.call(
            "POST",
            "/v1/events/batch",
            key,
            &format!("{{\"events\":[{}]}}", events.join(",")),
        )
    }

    pub(crate) fn post(&mut self, path: &str, key: &str, body: &str) -> io::Result<Response> {
        self.call("POST", path, key, body)
    }

    fn call(&mut self, method: &str, path: &str, key: &str, body: &str) -> io::Result<Response> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.send(request.as_bytes())
    }

    /// Sends the bytes of a request, and reads the response.
    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<Response> {
        if self.closed {
            *self = Self::connect(self.addr)?;
        }
        self.reader.get_mut().write_all(request)?;
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "incomplete response");
        let status =
            line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
        let (mut length, mut retry_after, mut content_type) = (0, None, String::new());
        loop {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(broken());
            }
            match line.trim().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().map_err(|_| broken())?,
                Some(("connection", "close")) => self.closed = true,
                Some(("content-type", value)) => content_type = value.to_owned(),
                Some(("retry-after", value)) => retry_after = Some(value.to_owned()),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Response {
            status,
            retry_after,
            content_type,
            json,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

/// The properties of the event with this id: no two events are alike.
fn properties_of(id: &str) -> String {
    format!(r#"{{"of":"{id}"}}"#)
}

/// The event with this id, as [`Client::batch`] sends it.
pub(crate) fn sent_event(id: &str) -> SentEvent {
    let properties = properties_of(id);
    let payload = Payload {
        event_name: "n",
        user_id: Some("u"),
        properties: Some(&properties),
        ..Payload::default()
    };
    SentEvent { event_id: id.into(), digest: Digest::of(&payload) }
}

/// Returns every stored id, read page by page. Fails if one appears twice.
pub(crate) fn stored_ids(addr: SocketAddr, key: &str) -> HashSet<String> {
    let mut client = Client::connect(addr).unwrap();
    let (mut ids, mut cursor) = (HashSet::new(), String::new());
    loop {
        let page = client.get(&format!("/v1/events?limit=1000&cursor={cursor}"), key).unwrap();
        assert_eq!(page.status, 200, "{:?}", page.json);
        for event in page.json["events"].as_array().unwrap() {
            let id = event["event_id"].as_str().unwrap().to_owned();
            assert!(!ids.contains(&id), "{id} is stored twice");
            ids.insert(id);
        }
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return ids,
        }
    }
}

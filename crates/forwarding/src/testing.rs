//! A receiver on a real socket, with the faults of real ones.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for an expected request.
const DEADLINE: Duration = Duration::from_mins(1);

/// A request as received.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// `POST /path HTTP/1.1`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl ReceivedRequest {
    /// Returns a header; an empty text without one.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map_or("", |(_, value)| value)
    }

    /// Returns the message ids in the body, in their order.
    ///
    /// # Panics
    /// If the body is not the JSON of [`BatchFormat::Json`](crate::BatchFormat::Json).
    #[must_use]
    pub fn message_ids(&self) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("JSON");
        let events = body["events"].as_array().expect("events");
        events.iter().map(|event| event["message_id"].as_str().expect("an id").to_owned()).collect()
    }
}

/// Behaviour after a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A complete answer, with these bytes behind its status line: headers, an empty line, a body.
    Answer(u16, &'static str),
    /// Nothing, until the sender closes the connection.
    Hang,
    /// Nothing; the connection is closed.
    Close,
    /// These bytes; then the connection is closed.
    Raw(&'static [u8]),
    /// Headers of a 200, and a body without an end.
    Endless,
    /// A byte of the headers of a 200 every 20 ms, without an end.
    Trickle,
}

impl Reply {
    /// A complete answer without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer(status, "content-length: 0\r\n\r\n")
    }
}

/// An HTTP server for one test. Keeps connections open between requests.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

type Behaviour = dyn Fn(usize, &ReceivedRequest) -> Reply + Send + Sync;

struct Shared {
    behaviour: Box<Behaviour>,
    requests: Mutex<Vec<ReceivedRequest>>,
    arrived: Condvar,
}

impl Receiver {
    /// Starts a server on a free port. `behaviour` gets the number of the request, from 0.
    ///
    /// # Panics
    /// Without a free port.
    pub fn start(
        behaviour: impl Fn(usize, &ReceivedRequest) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (requests, arrived) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { behaviour: Box::new(behaviour), requests, arrived });
        let of_server = Arc::clone(&shared);
        // Ends with the process: a test has few receivers.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&of_server);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Answers every request with this status.
    pub fn with_status(status: u16) -> Self {
        Self::start(move |_, _| Reply::status(status))
    }

    /// URL of a port where nothing listens.
    ///
    /// # Panics
    /// Without a free port.
    #[must_use]
    pub fn closed_url() -> String {
        // Closed at the end of the statement; the system hands out other ports first.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        format!("http://{}", address.expect("a free port"))
    }

    /// URL of the server, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.lock().clone()
    }

    /// Waits for requests that satisfy `is_enough`, and returns them.
    ///
    /// # Panics
    /// After a minute.
    pub fn wait(&self, is_enough: impl Fn(&[ReceivedRequest]) -> bool) -> Vec<ReceivedRequest> {
        let end = Instant::now() + DEADLINE;
        let mut requests = self.shared.lock();
        while !is_enough(&requests) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not after a minute: {} requests", requests.len());
            let waited = self.shared.arrived.wait_timeout(requests, left);
            requests = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        requests.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<ReceivedRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).ok();
        let mut reader = BufReader::new(&stream);
        while let Ok(Some(request)) = read_request(&mut reader) {
            let number = {
                let mut requests = self.lock();
                requests.push(request.clone());
                requests.len() - 1
            };
            // Before the answer: what the sender does next may be what the test waits for.
            self.arrived.notify_all();
            let is_open = reply(&stream, &(self.behaviour)(number, &request)).unwrap_or(false);
            if !is_open {
                break;
            }
        }
        stream.shutdown(Shutdown::Both).ok();
    }
}

/// Reads a request with a `Content-Length`; `None` at the end of the connection.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<ReceivedRequest>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request =
        ReceivedRequest { line: line.trim_end().to_owned(), headers, body: Vec::new() };
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// Returns whether the connection stays open.
fn reply(mut stream: &TcpStream, reply: &Reply) -> io::Result<bool> {
    match reply {
        Reply::Answer(status, rest) => {
            stream.write_all(format!("HTTP/1.1 {status} Status\r\n{rest}").as_bytes())?;
            return Ok(true);
        }
        // Reads until the sender closes.
        Reply::Hang => {
            io::copy(&mut stream, &mut io::sink())?;
        }
        Reply::Close => {}
        Reply::Raw(bytes) => stream.write_all(bytes)?,
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while stream.write_all(chunk.as_bytes()).is_ok() {}
        }
        Reply::Trickle => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx-slow: ")?;
            while stream.write_all(b"x").is_ok() {
                // The sender's time limit ends it, by closing the connection.
                thread::park_timeout(Duration::from_millis(20));
            }
        }
    }
    Ok(false)
}

//! Clients that send again after each response (closed loop), or at a steady rate (open loop).
//!
//! In the open loop, latency counts from the time a request is due, not from the time a connection
//! is free for it. Otherwise a stalled server would hide its stall ("coordinated omission", Gil
//! Tene). A dedicated thread paces the requests: tokio's timers have a resolution of a millisecond,
//! and their error would count as the server's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::events::{Bodies, Shape};

/// The requests of one or more tenants.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) addr: SocketAddr,
    /// One API key for each tenant. Requests use them by turns.
    pub(crate) keys: Vec<String>,
    pub(crate) shape: Shape,
    pub(crate) connections: usize,
    /// Requests per second over all connections. `None` is the closed loop.
    pub(crate) rate: Option<f64>,
}

/// The duration of a load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Not counted: caches fill, partitions are created.
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// The times between which requests count.
#[derive(Debug, Clone, Copy)]
struct Span {
    begin: Instant,
    end: Instant,
}

/// The responses to a load.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoadOutcome {
    /// Events of requests with a 200.
    pub(crate) events: u64,
    /// Requests with a 200.
    pub(crate) requests: u64,
    /// Requests with any other status.
    pub(crate) failures: u64,
    pub(crate) seconds: f64,
    /// Latencies in microseconds, sorted.
    pub(crate) micros: Vec<u32>,
}

/// Due times of an open loop, shared by its connections.
type DueTimes = Arc<Mutex<UnboundedReceiver<Instant>>>;

impl LoadOutcome {
    /// Returns events per second.
    pub(crate) fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    /// Returns a quantile of the latencies, in milliseconds. 0 without requests.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        let Some(last) = self.micros.len().checked_sub(1) else {
            return 0.0;
        };
        // The nearest rank, rounded down: no interpolation between latencies.
        f64::from(self.micros[(last as f64 * quantile) as usize]) / 1e3
    }

    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.requests += other.requests;
        self.failures += other.failures;
        self.micros.extend(other.micros);
    }
}

/// Sends several loads at once, and calls `warmed_up` when the measured time begins.
pub(crate) fn run(
    loads: &[Load],
    window: Window,
    warmed_up: impl FnOnce(),
) -> Result<Vec<LoadOutcome>, Error> {
    // One thread: the other cores belong to the server and the database.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let start = Instant::now();
        let begin = start + window.warm_up;
        let span = Span { begin, end: begin + window.measured };
        let clients: Vec<_> = loads.iter().map(|load| spawn_clients(load, start, span)).collect();
        tokio::time::sleep_until(begin.into()).await;
        warmed_up();
        let mut outcomes = Vec::new();
        for clients in clients {
            let mut total = LoadOutcome::default();
            for client in clients {
                total.add(client.await??);
            }
            // Requests in flight at the end count, so the time includes their responses.
            total.seconds = begin.elapsed().as_secs_f64();
            total.micros.sort_unstable();
            outcomes.push(total);
        }
        Ok(outcomes)
    })
}

fn spawn_clients(
    load: &Load,
    start: Instant,
    span: Span,
) -> Vec<JoinHandle<Result<LoadOutcome, Error>>> {
    let due = load.rate.map(|rate| Arc::new(Mutex::new(paced(rate, start, span.end))));
    let mut clients = Vec::new();
    for number in 0..load.connections {
        clients.push(tokio::spawn(client(load.clone(), number, due.clone(), span)));
    }
    clients
}

/// Returns the due times of requests, each sent when it is due.
fn paced(rate: f64, start: Instant, end: Instant) -> UnboundedReceiver<Instant> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for number in 0_u64.. {
            // Each due time follows from its number, so delays do not add up.
            let due = start + Duration::from_secs_f64(number as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if due >= end || sender.send(due).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn client(
    load: Load,
    number: usize,
    due: Option<DueTimes>,
    span: Span,
) -> Result<LoadOutcome, Error> {
    let mut stream = TcpStream::connect(load.addr).await?;
    // Nagle's algorithm would hold back the end of a request.
    stream.set_nodelay(true)?;
    let mut bodies = Bodies::new(load.shape, number as u64 + 1);
    let coding = if load.shape.gzip { "content-encoding: gzip\r\n" } else { "" };
    let mut body = Vec::new();
    let mut request = Vec::new();
    let mut response = Vec::new();
    let mut outcome = LoadOutcome::default();
    for round in 0_usize.. {
        let due = match &due {
            None => None,
            // The connection holds the lock while it waits, and the others queue behind it.
            Some(due) => match due.lock().await.recv().await {
                Some(due) => Some(due),
                None => break,
            },
        };
        if due.is_none() && Instant::now() >= span.end {
            break;
        }
        bodies.write(&mut body);
        // Each connection begins with another key, so all tenants send at any time.
        let key = &load.keys[(number + round * load.connections) % load.keys.len()];
        request.clear();
        for part in [
            "POST ",
            load.shape.wire.path(),
            " HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ",
            key,
            "\r\ncontent-type: application/json\r\n",
            coding,
            "content-length: ",
            &body.len().to_string(),
            "\r\n\r\n",
        ] {
            request.extend_from_slice(part.as_bytes());
        }
        request.extend_from_slice(&body);
        // In the closed loop, making the body is the client's time. In the open loop, a request
        // that is due waits for it.
        let since = due.unwrap_or_else(Instant::now);
        stream.write_all(&request).await?;
        let stored = read_response(&mut stream, &mut response).await?;
        // The warm-up does not count.
        if since < span.begin {
            continue;
        }
        // 32 bits hold 71 minutes in microseconds.
        outcome.micros.push(since.elapsed().as_micros().min(u128::from(u32::MAX)) as u32);
        if stored {
            outcome.requests += 1;
            outcome.events += load.shape.batch as u64;
        } else {
            outcome.failures += 1;
        }
    }
    Ok(outcome)
}

/// Reads one response completely. Returns whether its status is 200.
async fn read_response(stream: &mut TcpStream, response: &mut Vec<u8>) -> Result<bool, Error> {
    response.clear();
    loop {
        if stream.read_buf(response).await? == 0 {
            return Err("the server closed the connection".into());
        }
        if let Some(head) = Head::of(response)? {
            let received = response.len();
            if received < head.response_bytes {
                response.resize(head.response_bytes, 0);
                stream.read_exact(&mut response[received..]).await?;
            }
            return Ok(head.is_ok);
        }
    }
}

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    is_ok: bool,
    /// Size of head and body together.
    response_bytes: usize,
}

impl Head {
    /// Parses the head at the beginning of `response`. `None` until it is complete.
    fn of(response: &[u8]) -> Result<Option<Self>, Error> {
        // An empty line ends the head (RFC 9112, section 2.1).
        let Some(end) = response.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&response[..end])?;
        // The server writes header names in lower case, so no parser is needed.
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.ok_or("a response has no content-length")?.trim().parse()?;
        let is_ok = text.starts_with("HTTP/1.1 200");
        Ok(Some(Self { is_ok, response_bytes: end + 4 + length }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_the_sorted_latencies() {
        let outcome = LoadOutcome {
            micros: (1..=100).map(|ms| ms * 1000).collect(),
            ..LoadOutcome::default()
        };
        assert!((outcome.quantile_ms(0.5) - 50.0).abs() < 1e-9);
        assert!((outcome.quantile_ms(1.0) - 100.0).abs() < 1e-9);
        assert!(LoadOutcome::default().quantile_ms(0.5).abs() < 1e-9);
    }

    #[test]
    fn head_is_parsed_once_it_is_complete() {
        assert_eq!(Head::of(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n").unwrap(), None);
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(
            Head::of(response).unwrap(),
            Some(Head { is_ok: true, response_bytes: response.len() })
        );
        let response = b"HTTP/1.1 503 x\r\nretry-after: 1\r\ncontent-length: 10\r\n\r\n{";
        assert_eq!(
            Head::of(response).unwrap(),
            Some(Head { is_ok: false, response_bytes: response.len() + 9 })
        );
        assert!(Head::of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn requests_are_due_at_their_rate_until_the_end() {
        let start = Instant::now();
        let mut receiver = paced(1000.0, start, start + Duration::from_millis(50));
        let due: Vec<_> = std::iter::from_fn(|| receiver.blocking_recv()).collect();
        // 50 ms at one request per millisecond.
        assert_eq!(due.len(), 50);
        assert_eq!(due[10].duration_since(start), Duration::from_millis(10));
    }
}

//! Clients that send as fast as they are answered (closed loop), or at a rate whatever the answers do (open loop).
//!
//! In the open loop a request's time counts from the moment it was due, not from when a connection was free to send it, so
//! that a server that stalls can't hide it ("coordinated omission", Gil Tene).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;
use crate::events::{Bodies, Shape};

/// What to send.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where to.
    pub addr: SocketAddr,
    /// API keys, taken in turn by the connections.
    pub keys: Vec<String>,
    /// How events are made.
    pub shape: Shape,
    /// Connections.
    pub connections: usize,
    /// For how long.
    pub length: Duration,
    /// Requests per second over all connections; none: as fast as they are answered.
    pub rate: Option<f64>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Events that got a verdict.
    pub events: u64,
    /// Requests with a 200.
    pub requests: u64,
    /// Requests with anything else.
    pub failures: u64,
    /// How long it took.
    pub seconds: f64,
    /// Times of requests in microseconds, sorted.
    pub micros: Vec<u32>,
}

impl Outcome {
    /// Events per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    /// The time in milliseconds that `quantile` of the requests stayed below.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        let place = (self.micros.len().saturating_sub(1) as f64 * quantile) as usize;
        self.micros.get(place).map_or(0.0, |micros| f64::from(*micros) / 1e3)
    }
}

/// Sends.
///
/// # Errors
/// Where a connection can't be had or breaks.
pub fn run(load: &Load) -> Result<Outcome, Failure> {
    // One thread: the machine's other processors belong to what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let due = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let clients: Vec<_> = (0..load.connections)
            .map(|client| tokio::spawn(self::client(load.clone(), client, start, Arc::clone(&due))))
            .collect();
        let mut total = Outcome::default();
        for client in clients {
            let outcome = client.await??;
            total.events += outcome.events;
            total.requests += outcome.requests;
            total.failures += outcome.failures;
            total.micros.extend(outcome.micros);
        }
        total.seconds = start.elapsed().as_secs_f64();
        total.micros.sort_unstable();
        Ok(total)
    })
}

async fn client(load: Load, client: usize, start: Instant, due: Arc<AtomicU64>) -> Result<Outcome, Failure> {
    let mut stream = TcpStream::connect(load.addr).await?;
    stream.set_nodelay(true)?;
    let mut bodies = Bodies::new(load.shape, client as u64 + 1);
    let key = &load.keys[client % load.keys.len()];
    let (mut body, mut request, mut answer) = (String::new(), Vec::new(), Vec::new());
    let mut outcome = Outcome::default();
    loop {
        let begin = match load.rate {
            None => Instant::now(),
            Some(rate) => {
                let number = due.fetch_add(1, Ordering::Relaxed);
                let due = start + Duration::from_secs_f64(number as f64 / rate);
                tokio::time::sleep_until(due.into()).await;
                due
            }
        };
        if begin.duration_since(start) >= load.length {
            return Ok(outcome);
        }
        bodies.write(&mut body);
        request.clear();
        request.extend_from_slice(b"POST /v1/events/batch HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ");
        request.extend_from_slice(key.as_bytes());
        request.extend_from_slice(b"\r\ncontent-type: application/json\r\ncontent-length: ");
        request.extend_from_slice(body.len().to_string().as_bytes());
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(body.as_bytes());
        // The making of a body is the client's own time, and not the server's.
        let begin = if load.rate.is_none() { Instant::now() } else { begin };
        stream.write_all(&request).await?;
        let accepted = read_answer(&mut stream, &mut answer).await?;
        outcome.micros.push(begin.elapsed().as_micros().min(u128::from(u32::MAX)) as u32);
        if accepted {
            outcome.requests += 1;
            outcome.events += load.shape.batch as u64;
        } else {
            outcome.failures += 1;
        }
    }
}

/// Reads one answer whole. Whether it was a 200.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<bool, Failure> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&answer[..head]);
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.ok_or("an answer without a length")?.trim().parse()?;
        let ok = text.starts_with("HTTP/1.1 200");
        let missing = (head + 4 + length).saturating_sub(answer.len());
        if missing > 0 {
            let have = answer.len();
            answer.resize(have + missing, 0);
            stream.read_exact(&mut answer[have..]).await?;
        }
        return Ok(ok);
    }
}

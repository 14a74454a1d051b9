//! Clients that send as fast as they are answered (closed loop), or at a rate whatever the answers do (open loop).
//!
//! In the open loop a request's time counts from the moment it was due, not from when a connection was free to send it, so
//! that a server that stalls can't hide it ("coordinated omission", Gil Tene). A thread of its own paces the requests, since
//! the runtime's timers are good to a millisecond only, which would be counted as the server's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::Failure;
use crate::events::{Bodies, Shape};

/// What to send.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where to.
    pub addr: SocketAddr,
    /// API keys, one for each tenant. Each request takes the next one.
    pub keys: Vec<String>,
    /// How events are made.
    pub shape: Shape,
    /// Connections.
    pub connections: usize,
    /// Requests per second over all connections; none: as fast as they are answered.
    pub rate: Option<f64>,
}

/// For how long loads are sent.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// At the beginning, and not counted: caches fill, partitions are made.
    pub warm_up: Duration,
    /// After it.
    pub measured: Duration,
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

/// Sends several loads at once, and calls `warmed_up` when the measured time begins.
///
/// # Errors
/// Where a connection can't be had or breaks.
pub fn run(
    loads: &[Load],
    window: Window,
    warmed_up: impl FnOnce(),
) -> Result<Vec<Outcome>, Failure> {
    // One thread: the machine's other processors belong to what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let start = Instant::now();
        let (begin, end) = (start + window.warm_up, start + window.warm_up + window.measured);
        let clients: Vec<Vec<_>> = loads
            .iter()
            .map(|load| {
                let due = load.rate.map(|rate| Arc::new(Mutex::new(paced(rate, start, end))));
                let client =
                    |number| tokio::spawn(client(load.clone(), number, due.clone(), begin, end));
                (0..load.connections).map(client).collect()
            })
            .collect();
        tokio::time::sleep_until(begin.into()).await;
        warmed_up();
        let mut outcomes = Vec::new();
        for clients in clients {
            let mut total = Outcome::default();
            for client in clients {
                let outcome = client.await??;
                total.events += outcome.events;
                total.requests += outcome.requests;
                total.failures += outcome.failures;
                total.micros.extend(outcome.micros);
            }
            total.seconds = begin.elapsed().as_secs_f64();
            total.micros.sort_unstable();
            outcomes.push(total);
        }
        Ok(outcomes)
    })
}

/// The moments at which requests are due, each told when it has come.
fn paced(rate: f64, start: Instant, end: Instant) -> UnboundedReceiver<Instant> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for number in 0_u64.. {
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
    due: Option<Arc<Mutex<UnboundedReceiver<Instant>>>>,
    begin: Instant,
    end: Instant,
) -> Result<Outcome, Failure> {
    let mut stream = TcpStream::connect(load.addr).await?;
    stream.set_nodelay(true)?;
    let mut bodies = Bodies::new(load.shape, number as u64 + 1);
    let coding = if load.shape.gzip { "content-encoding: gzip\r\n" } else { "" };
    let (mut body, mut request, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    let mut outcome = Outcome::default();
    for round in 0_usize.. {
        let due = match &due {
            None => None,
            Some(due) => match due.lock().await.recv().await {
                Some(due) => Some(due),
                None => break,
            },
        };
        if due.is_none() && Instant::now() >= end {
            break;
        }
        bodies.write(&mut body);
        let key = &load.keys[(number + round * load.connections) % load.keys.len()];
        request.clear();
        for part in [
            "POST /v1/events/batch HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ",
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
        // The making of a body is the client's own time, and not the server's; but a request that was due waits for it.
        let since = due.unwrap_or_else(Instant::now);
        stream.write_all(&request).await?;
        let stored = read_answer(&mut stream, &mut answer).await?;
        if since < begin {
            continue;
        }
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

/// Reads one answer whole. Whether it was a 200.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<bool, Failure> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err("the server closed the connection".into());
        }
        if let Some(head) = Head::of(answer)? {
            let missing = head.whole.saturating_sub(answer.len());
            if missing > 0 {
                let have = answer.len();
                answer.resize(have + missing, 0);
                stream.read_exact(&mut answer[have..]).await?;
            }
            return Ok(head.is_ok);
        }
    }
}

/// What an answer's head says.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    is_ok: bool,
    /// The bytes of the head and the body together.
    whole: usize,
}

impl Head {
    /// The head at the beginning of `answer`, if all of it is there.
    fn of(answer: &[u8]) -> Result<Option<Self>, Failure> {
        let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&answer[..end])?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.ok_or("an answer without a length")?.trim().parse()?;
        Ok(Some(Self { is_ok: text.starts_with("HTTP/1.1 200"), whole: end + 4 + length }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let outcome =
            Outcome { micros: (1..=100).map(|ms| ms * 1000).collect(), ..Outcome::default() };
        assert!((outcome.quantile_ms(0.5) - 50.0).abs() < 1e-9);
        assert!((outcome.quantile_ms(1.0) - 100.0).abs() < 1e-9);
        assert!(Outcome::default().quantile_ms(0.5).abs() < 1e-9);
    }

    #[test]
    fn a_head_is_read_when_all_of_it_is_there() {
        assert_eq!(Head::of(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n").unwrap(), None);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(Head::of(answer).unwrap(), Some(Head { is_ok: true, whole: answer.len() }));
        let answer = b"HTTP/1.1 503 x\r\nretry-after: 1\r\ncontent-length: 10\r\n\r\n{";
        assert_eq!(Head::of(answer).unwrap(), Some(Head { is_ok: false, whole: answer.len() + 9 }));
        assert!(Head::of(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn requests_become_due_at_their_rate_and_then_end() {
        let start = Instant::now();
        let mut receiver = paced(1000.0, start, start + Duration::from_millis(50));
        let due: Vec<_> = std::iter::from_fn(|| receiver.blocking_recv()).collect();
        assert_eq!(due.len(), 50);
        assert_eq!(due[10].duration_since(start), Duration::from_millis(10));
    }
}

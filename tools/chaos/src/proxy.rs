//! A TCP proxy in front of PostgreSQL that can cut, delay, hold and swallow.
//!
//! It knows one thing of the protocol: the message `COMMIT` of a simple query.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::error::Error;

const BUFFER_BYTES: usize = 64 * 1024;

/// What happens to bytes, and to new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Everything passes.
    Open,
    /// Each read is held for this long.
    Delayed(Duration),
    /// Nothing passes, and nobody is told.
    Held,
    /// Connections are closed at once.
    Refused,
}

/// A listening proxy for one target.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    flow: watch::Sender<Flow>,
    /// Grows with each cut. Connections end when it does.
    cuts: watch::Sender<u32>,
    /// The number of COMMITs whose answers are still to be swallowed.
    swallows: AtomicU32,
    /// The number of COMMITs that are still to be dropped.
    drops: AtomicU32,
}

/// What becomes of a COMMIT.
enum Fate {
    Forwarded,
    /// It takes effect, and the client learns nothing.
    Swallowed,
    /// It never arrives.
    Dropped,
}

impl Proxy {
    pub(crate) async fn start(target: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            flow: watch::Sender::new(Flow::Open),
            cuts: watch::Sender::new(0),
            swallows: AtomicU32::new(0),
            drops: AtomicU32::new(0),
        });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { addr, shared })
    }

    pub(crate) fn set_flow(&self, flow: Flow) {
        self.shared.flow.send_replace(flow);
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Swallows the answers to the next COMMITs, and cuts each of their connections.
    pub(crate) fn swallow_commits(&self, commits: u32) {
        self.shared.swallows.store(commits, Ordering::SeqCst);
    }

    /// Cuts the connections of the next COMMITs before they are forwarded.
    pub(crate) fn drop_commits(&self, commits: u32) {
        self.shared.drops.store(commits, Ordering::SeqCst);
    }

    /// Ends both, and returns the number of COMMITs that did not come.
    pub(crate) fn spare_commits(&self) -> u32 {
        self.shared.swallows.swap(0, Ordering::SeqCst) + self.shared.drops.swap(0, Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // An error ends the connection, as it does without a proxy.
            serve(client, &shared).await.ok();
        });
    }
}

async fn serve(client: TcpStream, shared: &Shared) -> Result<(), Error> {
    let mut cuts = shared.cuts.subscribe();
    if *shared.flow.borrow() == Flow::Refused {
        return Ok(());
    }
    let server = TcpStream::connect(shared.target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (swallow, swallowed) = watch::channel(false);
    // The first to end closes both directions.
    tokio::select! {
        _ = cuts.changed() => Ok(()),
        end = pump_requests(from_client, to_server, shared, swallow) => end,
        end = pump_answers(from_server, to_client, shared, swallowed) => end,
    }
}

async fn pump_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    swallow: watch::Sender<bool>,
) -> Result<(), Error> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let bytes = &buffer[..length];
        pass(shared).await;
        match fate(bytes, shared) {
            Fate::Forwarded => {}
            // Before the bytes leave: the answer may come at once.
            Fate::Swallowed => drop(swallow.send(true)),
            Fate::Dropped => return Ok(()),
        }
        to.write_all(bytes).await?;
    }
}

async fn pump_answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    swallowed: watch::Receiver<bool>,
) -> Result<(), Error> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 || *swallowed.borrow() {
            return Ok(());
        }
        pass(shared).await;
        to.write_all(&buffer[..length]).await?;
    }
}

/// Waits until bytes may pass.
async fn pass(shared: &Shared) {
    let mut flow = shared.flow.subscribe();
    loop {
        let now = *flow.borrow_and_update();
        match now {
            Flow::Open | Flow::Refused => return,
            Flow::Delayed(delay) => return tokio::time::sleep(delay).await,
            Flow::Held => {
                if flow.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

fn fate(bytes: &[u8], shared: &Shared) -> Fate {
    // libpq sends a simple query in one piece, after it has read all answers.
    if !(bytes.starts_with(b"Q") && bytes.len() < 64 && bytes.ends_with(b"COMMIT\0")) {
        return Fate::Forwarded;
    }
    if take(&shared.drops) {
        return Fate::Dropped;
    }
    if take(&shared.swallows) { Fate::Swallowed } else { Fate::Forwarded }
}

fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

    /// A server that answers each read with `answer`, and a client connected to it by a proxy.
    struct Line {
        proxy: Proxy,
        client: TcpStream,
        /// The bytes that reach the server.
        received: tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>,
    }

    impl Line {
        async fn connect() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
            let client = TcpStream::connect(proxy.addr).await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            let (sender, received) = tokio::sync::mpsc::unbounded_channel();
            tokio::spawn(async move {
                let mut buffer = vec![0; 1_000];
                while let Ok(length @ 1..) = server.read(&mut buffer).await {
                    sender.send(buffer[..length].to_vec()).unwrap();
                    server.write_all(b"answer").await.unwrap();
                }
            });
            Self { proxy, client, received }
        }

        async fn send(&mut self, bytes: &[u8]) {
            self.client.write_all(bytes).await.unwrap();
        }

        /// What the client reads next; empty at the end of the connection.
        async fn read(&mut self) -> Vec<u8> {
            let mut buffer = vec![0; 100];
            // A connection that is cut may be reset.
            let length = self.client.read(&mut buffer).await.unwrap_or_default();
            buffer[..length].to_vec()
        }
    }

    #[tokio::test]
    async fn swallowed_commit_arrives_and_its_answer_does_not() {
        let mut line = Line::connect().await;
        line.proxy.swallow_commits(1);
        line.send(b"Q\0\0\0\x0aBEGIN\0").await;
        assert_eq!(line.read().await, b"answer");
        line.received.recv().await.unwrap();
        line.send(COMMIT).await;
        assert_eq!(line.read().await, b"");
        assert_eq!(line.received.recv().await.unwrap(), COMMIT);
        assert_eq!(line.proxy.spare_commits(), 0);
    }

    #[tokio::test]
    async fn dropped_commit_does_not_arrive() {
        let mut line = Line::connect().await;
        line.proxy.drop_commits(2);
        line.send(COMMIT).await;
        assert_eq!(line.read().await, b"");
        assert_eq!(line.received.recv().await, None);
        assert_eq!(line.proxy.spare_commits(), 1);
    }

    #[tokio::test]
    async fn held_bytes_arrive_when_the_network_heals() {
        let mut line = Line::connect().await;
        line.proxy.set_flow(Flow::Held);
        line.send(COMMIT).await;
        // Time for what must not happen.
        let early = tokio::time::timeout(Duration::from_millis(50), line.received.recv()).await;
        assert!(early.is_err());
        line.proxy.set_flow(Flow::Delayed(Duration::from_millis(1)));
        assert_eq!(line.read().await, b"answer");
    }

    #[tokio::test]
    async fn cut_ends_open_connections_and_refusal_new_ones() {
        let mut line = Line::connect().await;
        line.proxy.cut();
        assert_eq!(line.read().await, b"");
        line.proxy.set_flow(Flow::Refused);
        line.client = TcpStream::connect(line.proxy.addr).await.unwrap();
        assert_eq!(line.read().await, b"");
    }
}

//! Options of a server's sockets.

use mercurio_domain::ids::IdGenerator;
use mercurio_runtime::refusal_log::RefusalLog;
use mercurio_runtime::system::UuidV7Ids;
use std::sync::Arc;
use std::time::Duration;

/// The threads, timeouts and limits of a server.
#[derive(Clone)]
pub struct ServerOptions {
    /// HTTP threads per address; at least one.
    pub threads: usize,
    /// Maximum time until the head of a connection's first request has arrived.
    pub head_timeout: Duration,
    /// Idle time after which a connection is closed. Longer than the idle timeout of load
    /// balancers, usually 60 seconds: they would otherwise send requests into connections that are
    /// just closing.
    pub keep_alive: Duration,
    /// Maximum time without a byte of a response, independent of what the client sends. Longer than
    /// `keep_alive` and than any request. It ends clients that do not read or send a later head
    /// byte by byte: `head_timeout` covers only the first head.
    pub answer_timeout: Duration,
    /// Maximum time to read on before a close, so that the client can read the response.
    pub linger: Duration,
    /// Maximum connections per thread. Further ones wait to be accepted.
    pub max_connections: usize,
    /// Maximum time for requests in progress during shutdown.
    pub shutdown_timeout: Duration,
    /// Creates the ids of requests refused before they reach the app.
    pub ids: Arc<dyn IdGenerator>,
    /// Limits their log lines.
    pub refusals: Arc<RefusalLog>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            head_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            // Twice `keep_alive`, so idle connections end in order; start-up raises it if needed.
            answer_timeout: Duration::from_secs(150),
            linger: Duration::from_secs(3),
            max_connections: 25_000,
            shutdown_timeout: Duration::from_secs(30),
            ids: Arc::new(UuidV7Ids),
            refusals: Arc::new(RefusalLog::new(u32::MAX)),
        }
    }
}

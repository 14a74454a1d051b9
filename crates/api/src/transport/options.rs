//! Options of a server's sockets.

use mercurio_domain::ids::IdGenerator;
use mercurio_enrichment::{ClientIpPolicy, TrustedProxies};
use mercurio_runtime::refusal_log::RefusalLog;
use mercurio_runtime::system::UuidV7Ids;
use std::sync::Arc;
use std::time::Duration;

/// The threads, timeouts and limits of a server.
#[derive(Clone)]
pub struct ServerOptions {
    /// HTTP threads per address; at least one.
    pub threads: usize,
    /// Maximum time from the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// Idle time after which a connection is closed. Longer than the idle timeout of load
    /// balancers, usually 60 seconds: they would otherwise send requests into connections that are
    /// just closing.
    pub keep_alive: Duration,
    /// Idle time of connections without a request with a valid API key, except those of
    /// `trusted_proxies`.
    pub stranger_keep_alive: Duration,
    /// Proxies, whose idle connections are always kept for `keep_alive`.
    pub trusted_proxies: TrustedProxies,
    /// Maximum time without a byte of a response to a request in progress, independent of what the
    /// client sends. Longer than `keep_alive` and than any request.
    pub answer_timeout: Duration,
    /// Maximum time without progress while the client does not read a response.
    pub write_timeout: Duration,
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
    /// How much of a client's address to log.
    pub client_ip: ClientIpPolicy,
}

/// Open files of a process besides its client connections: databases, Redis, threads, the log.
const OTHER_FILES: u64 = 64;

impl ServerOptions {
    /// Lowers `max_connections`, so that `addresses` servers in a process with `files` open files
    /// leave some for the database.
    pub fn fit_files(&mut self, files: u64, addresses: usize) {
        let threads = (self.threads.max(1) * addresses.max(1)) as u64;
        // At least one, or the server would answer nobody.
        let fitting = (files.saturating_sub(OTHER_FILES) / threads).max(1);
        let fitting = usize::try_from(fitting).unwrap_or(usize::MAX);
        self.max_connections = self.max_connections.min(fitting);
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            head_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            stranger_keep_alive: Duration::from_secs(10),
            trusted_proxies: TrustedProxies::default(),
            // Twice `keep_alive`, so idle connections end in order; start-up raises it if needed.
            answer_timeout: Duration::from_secs(150),
            // The network's own buffers hold more than a page of events, so a slow client reads.
            write_timeout: Duration::from_secs(20),
            linger: Duration::from_secs(3),
            max_connections: 25_000,
            shutdown_timeout: Duration::from_secs(30),
            ids: Arc::new(UuidV7Ids),
            refusals: Arc::new(RefusalLog::new(u32::MAX)),
            client_ip: ClientIpPolicy::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_database() {
        for (files, addresses, expected) in
            [(1_024, 1, 480), (1_024, 2, 240), (1_000_000, 2, 25_000), (10, 1, 1)]
        {
            let mut options = ServerOptions { threads: 2, ..ServerOptions::default() };
            options.fit_files(files, addresses);
            assert_eq!(options.max_connections, expected, "{files} files");
        }
    }
}

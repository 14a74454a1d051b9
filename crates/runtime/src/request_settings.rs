//! Options of the request path.

use std::time::Duration;

use mercurio_domain::limits::Limits;
use mercurio_enrichment::{ClientIpHeader, TrustedProxies};
use mercurio_protocols::ProtocolOptions;

/// Settings of the request handlers.
#[derive(Debug, Clone)]
pub struct RequestSettings {
    /// Limits of tenants without overrides.
    pub limits: Limits,
    /// Maximum memory of request bodies in flight, in bytes. One tenant gets half of it at most.
    pub body_memory_bytes: usize,
    /// Threads that decompress bodies.
    pub decode_threads: usize,
    /// Maximum time for a body to arrive.
    pub request_timeout: Duration,
    /// Maximum time a request waits for its commit.
    pub commit_timeout: Duration,
    /// Time limit of a read of events, by the store.
    pub read_timeout: Duration,
    /// Requests slower than this are logged as slow; `None` disables it.
    pub slow_request: Option<Duration>,
    /// Proxies trusted to report the client's address.
    pub trusted_proxies: TrustedProxies,
    /// The header in which they report it.
    pub client_ip_header: ClientIpHeader,
    /// Foreign protocols and their limits.
    pub protocols: ProtocolOptions,
    /// Origins allowed by CORS; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Whether `/docs` and `/openapi.json` are served on the public address. The management address always serves them.
    pub public_docs: bool,
}

//! Options of the request path.

use std::time::Duration;

use mercurio_domain::limits::Limits;
use mercurio_enrichment::TrustedProxies;

/// Settings of the request handlers.
#[derive(Debug, Clone)]
pub struct RequestSettings {
    /// Limits of tenants without overrides.
    pub limits: Limits,
    /// Maximum time for a body to arrive.
    pub request_timeout: Duration,
    /// Maximum time a request waits for its commit.
    pub commit_timeout: Duration,
    /// Requests slower than this are logged as slow; `None` disables it.
    pub slow_request: Option<Duration>,
    /// Proxies with trusted forwarding headers.
    pub trusted_proxies: TrustedProxies,
    /// Origins allowed by CORS; `*` allows all.
    pub cors_origins: Vec<String>,
}

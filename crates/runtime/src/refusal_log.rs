//! Limits the log lines of requests without a valid API key, and of refused requests.
//!
//! Anyone can cause such a line, thousands of times a second. The metrics count all of them.

use mercurio_domain::TenantId;

use crate::line_limit::LineLimit;

/// Limits the lines of each [`RefusalLine`].
pub type RefusalLog = LineLimit<RefusalLine>;

/// The lines that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalLine {
    /// `request`. A flood of refusals must not hide the other lines, so each class has a limit.
    Request {
        /// The tenant of the API key; `None` without a valid one.
        tenant_id: Option<TenantId>,
        /// First digit of the status.
        class: u16,
    },
    /// `API key refused`.
    RefusedKey,
    /// `store query failed` of a key lookup.
    FailedLookup,
}

impl RefusalLine {
    /// Returns the limited line of a request; `None` if the request is always logged.
    #[must_use]
    pub fn of_request(tenant_id: Option<TenantId>, status: u16) -> Option<Self> {
        // A tenant's other requests are bounded by its rate limits.
        let is_limited = tenant_id.is_none() || (400..500).contains(&status);
        is_limited.then_some(Self::Request { tenant_id, class: status / 100 })
    }
}

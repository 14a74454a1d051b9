//! Settings of the writer.

use std::time::Duration;

/// Threads and bounds of a [`GroupWriter`](super::GroupWriter).
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Writer threads. Each uses one database connection.
    pub threads: usize,
    /// Maximum events in the queue.
    pub queue_events: usize,
    /// Maximum bytes in the queue, counted by
    /// [`Submission::size_bytes`](mercurio_domain::store::Submission::size_bytes).
    pub queue_bytes: usize,
    /// Maximum share of the queue for one tenant, in percent: 1 to 100.
    pub tenant_share_percent: usize,
    /// Maximum events in a group. A larger submission is a group of its own.
    pub group_events: usize,
    /// Maximum bytes in a group. A larger submission is a group of its own.
    pub group_bytes: usize,
    /// Queued events from which an idle writer thread starts a second transaction in parallel.
    /// Below it, the busy thread takes them after its commit: two small transactions cost more than
    /// one of twice the size.
    pub join_events: usize,
    /// First pause between two probes of an unavailable store. It doubles after each failed probe,
    /// up to ten times this value.
    pub probe_interval: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            threads: 2,
            queue_events: 50_000,
            queue_bytes: 64 * 1024 * 1024,
            // One flooding tenant leaves half of the queue to the others.
            tenant_share_percent: 50,
            group_events: 4_000,
            group_bytes: 8 * 1024 * 1024,
            join_events: 256,
            // The tenfold of it, a second, bounds the time until a recovered store is used.
            probe_interval: Duration::from_millis(100),
        }
    }
}

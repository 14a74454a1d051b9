//! Measures Mercurio's write path against the raw speed of its database, in one run, on one machine.
//!
//! A run has rounds. Each round measures the floor ([`floor`]: the same rows by COPY into the plainest table) and then
//! every case ([`cases`]), so that a machine whose speed drifts drifts for all alike; what is reported is the median of the
//! ratios of single rounds. The server is the release binary in a process of its own ([`server`]), the load comes over HTTP
//! from this process ([`load`]) with fresh ids and times ([`events`]). Not a test: nothing here passes or fails.

pub mod cases;
pub mod events;
pub mod floor;
pub mod load;
pub mod process;
pub mod report;
pub mod server;

/// Anything that ends a run early.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

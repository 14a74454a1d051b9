//! Measures Mercurio's write path against the raw speed of its database, in one run, on one machine.
//!
//! A run has rounds ([`mod@run`]). Each round measures every case ([`cases`]), and before and after each one the floor ([`baseline`]:
//! the same rows by COPY into the plainest table; [`sqlite`] has one of its own), so that a machine whose speed drifts drifts
//! for both; what is reported is the median of the ratios of single rounds, and what was to be reached ([`goals`]). The server is the release binary in a process of its own ([`server`]), the load comes over HTTP
//! from this process ([`load`]) with fresh ids and times ([`events`]). Not a test: nothing here passes or fails.

pub mod baseline;
pub mod cases;
pub mod events;
pub mod goals;
pub mod load;
pub mod preload;
pub mod process;
pub mod run;
pub mod server;
pub mod sqlite;
pub mod tables;

/// Anything that ends a run early.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

//! The ingest server as a library: `main.rs` starts it, tests drive it.
//!
//! The edge of HTTP: [`transport`] takes connections, [`edge`] stands around every request, [`cors`] lets browsers in,
//! [`body`] reads what was sent, [`problem`] says what is wrong; [`clock`] is the machine's clock and randomness.

pub mod app;
pub mod arguments;
pub mod auth;
pub mod body;
pub mod catalog_watch;
mod client_ip;
pub mod clock;
pub mod cors;
pub mod database_probe;
pub mod edge;
pub mod key_cache;
pub mod key_uses;
pub mod openapi;
pub mod problem;
pub mod quota_watch;
pub mod rate_limit;
pub mod rejection_log;
pub mod retention;
pub mod routes;
pub mod startup;
pub mod state;
pub mod transport;

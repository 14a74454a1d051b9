//! The HTTP API: [`app`] assembles it, [`transport`] accepts connections, [`middleware`] surrounds every request, [`body`] reads
//! what was sent, [`routes`] answer, [`problem`] describes errors.
//!
//! Not here: start-up, settings, SQL.

pub mod app;
pub mod auth;
pub mod body;
mod client_ip;
pub mod cors;
pub mod middleware;
pub mod openapi;
pub mod problem;
pub mod routes;
pub mod state;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

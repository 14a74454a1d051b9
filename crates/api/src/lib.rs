//! The HTTP API.
//!
//! [`transport`] accepts connections, [`middleware`] wraps every request, [`auth`] identifies its
//! tenant, [`body`] reads its body, [`routes`] respond, `reads` limits reads of events, `feed_stream` has the feed as lines, `writes` is the path of events that
//! handlers share, [`problem`] describes errors, [`openapi`] documents all of it. [`app`] assembles them. [`healthcheck`] is a
//! client.
//!
//! Not here: start-up, settings, SQL.

pub mod app;
pub mod auth;
pub mod body;
mod client_ip;
pub mod cors;
mod feed_stream;
pub mod healthcheck;
pub mod middleware;
pub mod openapi;
pub mod problem;
mod reads;
pub mod routes;
pub mod state;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;
mod writes;

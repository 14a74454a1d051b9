//! Logs, metrics and traces.
//!
//! - [`logger`] builds the root logger, [`keys`] lists the keys of its lines. [`log_bridge`]
//!   forwards the records of libraries, [`panic_hook`] logs panics, [`chain`] formats an error with
//!   its causes.
//! - [`context`] holds the logger and ids of the current request. [`RequestLine`] is the line after
//!   its response.
//! - [`metrics`] counts and renders for Prometheus, [`process`] reads memory, CPU time and files of
//!   this process.
//! - [`TraceParent`] reads the caller's trace context, [`Stages`] times the request, [`Traces`]
//!   exports its spans.
//!
//! This is the lowest layer after `domain`: it uses no other Mercurio crate and no HTTP types.

pub mod logging;
pub mod metrics;
pub mod stages;
pub mod tracing;

pub use logging::context::RequestContext;
pub use logging::error_chain::chain;
pub use logging::level::{LevelSwitch, LogFormat, LogLevel};
pub use logging::logger::{LogGuard, LogOutput, LogSettings};
pub use logging::request_line::RequestLine;
pub use logging::{context, keys, log_bridge, logger, panic_hook};
pub use metrics::{Metrics, process};
pub use stages::{Stage, StageTime, Stages};
pub use tracing::trace_parent::TraceParent;
pub use tracing::traces::{RequestSpan, TraceError, TraceSettings, Traces};
pub use tracing::{OtlpEndpoint, OtlpEndpointError};

//! Watches: what Mercurio says about itself, as log lines and as numbers.
//!
//! - [`logger`] builds the root logger; [`keys`] is the vocabulary of its lines (`docs/LOGGING.md` for people);
//!   [`log_bridge`] brings in the lines of libraries, [`panic_hook`] the place of a panic.
//! - [`context`] carries a request's logger and ids to deep code; [`trace_parent`] reads the caller's trace id;
//!   [`request_line`] is the closing line of a request, [`stages`] where its time went, [`traces`] sends its spans.
//! - [`metrics`] counts, and prints what Prometheus reads; [`process`] asks the operating system.
//! - [`error_chain`] is the one place where an error and its causes become text.
//!
//! Not here: domain rules, HTTP types, SQL. No other Mercurio crate is used.

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
pub use stages::{Stage, Stages};
pub use tracing::trace_parent::TraceParent;
pub use tracing::traces::{RequestSpan, TraceError, TraceSettings, Traces};
pub use tracing::{OtlpEndpoint, OtlpEndpointError};

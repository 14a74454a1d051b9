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

pub mod context;
pub mod error_chain;
pub mod keys;
pub mod level;
mod line;
pub mod log_bridge;
pub mod logger;
pub mod metrics;
pub mod panic_hook;
pub mod process;
mod queue;
pub mod request_line;
pub mod stages;
pub mod trace_parent;
pub mod traces;
mod unique;

pub use context::RequestContext;
pub use error_chain::chain;
pub use level::{LevelSwitch, LogFormat, LogLevel};
pub use logger::{LogGuard, LogOutput, LogSettings};
pub use metrics::Metrics;
pub use request_line::RequestLine;
pub use stages::{Stage, Stages};
pub use trace_parent::TraceParent;
pub use traces::{RequestSpan, TraceError, TraceSettings, Traces};

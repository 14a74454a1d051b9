//! Logging: the root logger, the request context, and the keys of log lines.

pub mod context;
pub mod error_chain;
pub mod keys;
pub mod level;
mod line;
pub mod log_bridge;
pub mod logger;
pub mod panic_hook;
mod queue;
pub mod request_line;
mod unique;

//! Log lines: the root logger, a request's context, and the vocabulary of keys.

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

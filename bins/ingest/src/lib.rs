//! The ingest server as a library: `main.rs` starts it, tests drive it.

pub mod arguments;
pub mod startup;

//! The error type of this program, which ends with the first error.

/// Any error that ends a run early.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

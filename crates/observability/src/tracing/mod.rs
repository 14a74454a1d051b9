//! Traces: the caller's trace context, the spans of a request, and their export over OTLP.

mod otlp_endpoint;
pub mod trace_parent;
pub mod traces;

pub use otlp_endpoint::{OtlpEndpoint, OtlpEndpointError};

//! Traces: the caller's trace context, a request's spans, and their export over OTLP.

mod otlp_endpoint;
pub mod trace_parent;
pub mod traces;

pub use otlp_endpoint::{OtlpEndpoint, OtlpEndpointError};

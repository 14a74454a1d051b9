//! The JSON of requests and responses: types to serialise, their OpenAPI schemas, and examples.
//!
//! Not here: handlers, domain types with JSON of their own (stored events, limits), problems.

pub(crate) mod examples;
pub(crate) mod health;
pub(crate) mod limits;
pub(crate) mod read;
pub(crate) mod rejections;
pub(crate) mod write;

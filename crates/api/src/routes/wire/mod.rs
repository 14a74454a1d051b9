//! The JSON of requests and responses.

pub(crate) mod examples;

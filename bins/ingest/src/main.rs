//! Start of mercurio-ingest.
fn main() {}

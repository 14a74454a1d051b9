//! Start of mercurio-admin.
fn main() {}

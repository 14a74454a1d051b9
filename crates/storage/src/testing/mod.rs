//! Help for the tests here and in the crates above: a database for each test, and waiting for
//! another process.

mod database;
mod wait;

pub use database::TestDatabase;
pub use wait::{wait_for, wait_until};

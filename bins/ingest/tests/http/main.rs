//! The HTTP contract, case by case, over the whole app without a socket, on the store in memory.

mod auth;
mod bad_input;
mod conventions;
mod reading;
mod support;
mod writing;

//! The group writer of `mercurio-pipeline` under a scheduler with a seed.
//!
//! The writer's sources are compiled a second time here, over another `sync`: locks and threads of
//! `shuttle`, and a clock that moves only when every thread waits. One seed decides every switch
//! between threads, every random choice and every timeout, so a failing run repeats exactly.
//!
//! The tests in `tests/writer` use it. Shuttle models neither weak memory nor time; the clock adds
//! the latter.

// The unit tests of the writer's sources belong to `mercurio-pipeline`: they need real threads.
#![cfg(not(test))]

mod runner;
mod scheduler;
mod sync;
#[path = "../../../crates/pipeline/src/writer/mod.rs"]
pub mod writer;

pub use runner::run;
pub use sync::clock::{now, pass_time};
pub use sync::oneshot::{Delivery, last_delivery, unanswered};

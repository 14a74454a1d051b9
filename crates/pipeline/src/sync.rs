//! Locks, threads, time and channels of the group writer.
//!
//! The writer takes them only from here. `tools/simulation` compiles the writer's sources a second
//! time, with a module `sync` of its own: a scheduler with a seed, and a clock that it moves.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::thread;
pub(crate) use std::time::Instant;

pub(crate) use tokio::sync::oneshot;

//! `events forward` as a process, on both databases and to real receivers.

mod crash;
mod examples;
mod options;
mod program;
mod volume;

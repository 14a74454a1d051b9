//! The commands as a library: over the store in memory, and over real databases.

mod bench;
mod doctor;
mod events;
mod provision;
mod tending;
mod words;

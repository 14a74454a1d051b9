//! The commands as a library: over the store in memory, and over real databases.

mod catalog;
mod doctor;
mod events;
mod help;
mod provision;
mod test_machine;

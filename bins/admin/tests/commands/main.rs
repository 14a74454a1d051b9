//! Tests of the commands as a library, over the store in memory and over real databases.

mod audit;
mod catalog;
mod completion;
mod database;
mod deletion;
mod doctor;
mod events;
mod filters;
mod help;
mod import;
mod keys;
mod manual;
mod migrate;
mod output;
mod provision;
mod rejections;
mod tail;
mod test_machine;

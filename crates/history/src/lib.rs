//! Compares what clients were answered with what the database holds. Tests and trials use it; no
//! program does.
//!
//! Clients record every request in a [`History`], answered or not. [`check`] then reads the tables
//! of the database, PostgreSQL or SQLite, and returns each [`Violation`] of the promise: a 200 means
//! stored, once, as sent.
//!
//! The tables are read with SQL of this crate. A fault of the store's own reads can therefore not
//! hide a fault of its writes. Erased and expired events are unknown here: a history must not
//! outlive them.

mod comparison;
mod database;
mod history;
mod payload;
mod report;
mod stored;

pub use comparison::Comparison;
pub use database::{ReadError, check};
pub use history::{Answer, Attempt, EventRef, Figures, History, Moment, Request, SentEvent};
pub use payload::{Digest, Payload};
pub use report::{Report, Violation};
pub use stored::{CountKey, StoredCount, StoredRow, StoredUsage};

//! Everything both databases do alike, written once and compiled by each backend.
//!
//! Each backend includes this module by `#[path]`, and gives it these names:
//! - `Db`, `DbConnection`, `DbStore`: its diesel backend, connection and store types
//! - `counts`, `events`, `removal`, `schema`, `tables`, `values`, `versions`: its modules
//!
//! diesel's `MultiConnection` cannot do this: it lacks `ON CONFLICT`, multi-row inserts with
//! SQLite, `timestamptz`, `uuid` and `json`. Generic functions would repeat their bounds in every
//! signature.

use super::{
    Db, DbConnection, DbStore, counts, events, removal, schema as backend_schema, tables, values,
    versions,
};

mod api_keys;
pub(crate) mod audit;
pub(crate) mod catalog;
mod deletion;
#[cfg(test)]
pub(crate) mod explain;
pub(crate) mod feed;
mod impl_traits;
pub(crate) mod pages;
pub(crate) mod provision;
pub(crate) mod rejections;
pub(crate) mod schema;
pub(crate) mod schema_state;

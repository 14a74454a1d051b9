//! What every store promises, run on each of them: in memory, in SQLite, in PostgreSQL, and in both with the schema of a newer release,
//! whose tables have columns of which this one does not know.
//!
//! A case is a function that takes a [`setup::Subject`]; `on_every_store!` makes a test of it for each store.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

/// Makes a test for each case and store, such as `append::postgres::an_empty_group_is_stored_as_nothing`.
macro_rules! on_every_store {
    ($($case:ident),* $(,)?) => {
        on_every_store!(@store memory, $($case),*);
        on_every_store!(@store sqlite, $($case),*);
        on_every_store!(@store postgres, $($case),*);
        on_every_store!(@store newer_sqlite, $($case),*);
        on_every_store!(@store newer_postgres, $($case),*);
    };
    (@store $store:ident, $($case:ident),*) => {
        mod $store {
            $(
                #[test]
                fn $case() {
                    super::$case(&crate::setup::Subject::$store());
                }
            )*
        }
    };
}

mod append;
mod catalog;
mod counts;
mod housekeeping;
mod laws;
mod pages;
mod setup;

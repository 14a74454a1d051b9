//! The contract of every store, tested on memory, SQLite and PostgreSQL, and on both databases with
//! the schema of a newer release, whose tables have unknown columns.
//!
//! A case is a function of a [`setup::Subject`]; `on_every_store!` makes a test of it for each
//! store.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

/// Makes a test for each case and store, such as `append::postgres::empty_group_stores_nothing`.
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
mod audit;
mod catalog;
mod counts;
mod deletion;
mod exported;
mod feed;
mod housekeeping;
mod laws;
mod names;
mod pages;
mod rejection_removal;
mod rejections;
mod setup;
mod sorted_pages;

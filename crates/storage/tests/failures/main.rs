//! Unreachable, restarted, locked and rejecting databases: the caller's error, and the recovery.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod counts;
mod fallbacks;
mod feed;
mod migration_locks;
mod postgres;
mod replication;
#[path = "../common/server.rs"]
mod server;
mod sqlite;

use mercurio_domain::Owner;
use mercurio_domain::store::{Store, StoreError};
use mercurio_domain::testing::{at, provisioning};

/// The workspace of a new tenant.
fn owner(store: &dyn Store) -> Owner {
    store.provision(&provisioning("Acme", 1, at("2026-11-22T10:00:00Z")).0).unwrap().api_key.owner
}

/// The error with its causes, as in the log.
fn full_message(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

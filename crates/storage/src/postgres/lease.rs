//! Leader leases: each is an advisory lock of a session, and ends with its connection.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamptz};
use mercurio_domain::Timestamp;
use mercurio_domain::store::{Lease, LeaseKind, StoreError};

use crate::error::Failure;
use crate::pool::failed;
use crate::rows::{Micros, instant_if_any};

/// The advisory lock of a lease, eight characters in ASCII.
fn lock_of(kind: LeaseKind) -> i64 {
    i64::from_be_bytes(match kind {
        LeaseKind::Retention => *b"mercrete",
        LeaseKind::Counts => *b"merccoun",
    })
}

/// A connection that has the lock.
struct Held(PgConnection);

/// Takes the lock if it is free. Closes the connection otherwise.
pub(super) fn take(
    mut connection: PgConnection,
    kind: LeaseKind,
) -> Result<Option<Box<dyn Lease>>, StoreError> {
    let lock = diesel::dsl::sql::<Bool>(&format!("pg_try_advisory_lock({})", lock_of(kind)));
    let taken: bool = diesel::select(lock)
        .get_result(&mut connection)
        .map_err(|error| failed::<PgConnection>(Failure::from(error)))?;
    Ok(taken.then(|| Box::new(Held(connection)) as Box<dyn Lease>))
}

impl Lease for Held {
    fn hold(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let now = diesel::select(diesel::dsl::sql::<Timestamptz>("clock_timestamp()"));
        let now: Result<Micros, _> = now.get_result(&mut self.0);
        let now = now.map(|now| instant_if_any(Some(now))).map_err(Failure::from);
        Ok(now.map_err(failed::<PgConnection>)?)
    }
}

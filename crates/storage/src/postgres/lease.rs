//! Leader leases. Each is an advisory lock of a session, and ends with its connection.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamptz};
use mercurio_domain::Timestamp;
use mercurio_domain::store::{Lease, LeaseKind, StoreError};

use crate::error::Error;
use crate::rows::{Micros, optional_timestamp};

/// The advisory lock of a lease, eight characters in ASCII.
fn lock_number(kind: LeaseKind) -> i64 {
    i64::from_be_bytes(match kind {
        LeaseKind::Retention => *b"mercrete",
        LeaseKind::Counts => *b"merccoun",
    })
}

/// The connection that holds the lock.
struct SessionLease(PgConnection);

/// Takes the lock unless another session holds it.
pub(super) fn try_take(
    mut connection: PgConnection,
    kind: LeaseKind,
) -> Result<Option<Box<dyn Lease>>, Error> {
    let number = lock_number(kind);
    // Of the session, not of a transaction, which would have to stay open for the whole lease.
    let lock = diesel::dsl::sql::<Bool>(&format!("pg_try_advisory_lock({number})"));
    let taken: bool = diesel::select(lock).get_result(&mut connection)?;
    // If another session holds the lock, this connection closes here.
    Ok(taken.then(|| Box::new(SessionLease(connection)) as Box<dyn Lease>))
}

impl Lease for SessionLease {
    fn hold(&mut self) -> Result<Option<Timestamp>, StoreError> {
        // The lock is held as long as the session answers.
        // `clock_timestamp` and not `now`, which is the start of the transaction.
        let now = diesel::dsl::sql::<Timestamptz>("clock_timestamp()");
        let now: Micros = diesel::select(now).get_result(&mut self.0).map_err(Error::from)?;
        Ok(optional_timestamp(Some(now)))
    }
}

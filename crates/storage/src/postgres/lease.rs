//! The retention lease: an advisory lock of a session. It ends with the connection.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamptz};
use mercurio_domain::Timestamp;
use mercurio_domain::store::{Lease, StoreError};

use crate::error::Error;
use crate::rows::{Micros, optional_timestamp};

/// Advisory lock of the lease: `mercrete` in ASCII.
const LOCK: i64 = 0x6d65_7263_7265_7465;

/// The connection that holds the lock.
struct SessionLease(PgConnection);

/// Takes the lock unless another session holds it.
pub(super) fn try_take(mut connection: PgConnection) -> Result<Option<Box<dyn Lease>>, Error> {
    let lock = diesel::dsl::sql::<Bool>(&format!("pg_try_advisory_lock({LOCK})"));
    let taken: bool = diesel::select(lock).get_result(&mut connection)?;
    Ok(taken.then(|| Box::new(SessionLease(connection)) as Box<dyn Lease>))
}

impl Lease for SessionLease {
    fn hold(&mut self) -> Result<Option<Timestamp>, StoreError> {
        // The lock is held as long as the session answers.
        let now = diesel::dsl::sql::<Timestamptz>("clock_timestamp()");
        let now: Micros = diesel::select(now).get_result(&mut self.0).map_err(Error::from)?;
        Ok(optional_timestamp(Some(now)))
    }
}

//! The right to remove old events unasked: a lock of the session, which ends with its connection.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Timestamptz};
use mercurio_domain::Timestamp;
use mercurio_domain::store::{Lease, StoreError};

use crate::error::Failure;
use crate::pool::failed;
use crate::rows::{Micros, instant_if_any};

/// The number of the lock: `mercrete` in ASCII.
const LOCK: i64 = 0x6d65_7263_7265_7465;

/// A connection that has the lock.
struct Held(PgConnection);

/// Takes the lock where nobody has it. The connection is closed where somebody has.
pub(super) fn take(mut connection: PgConnection) -> Result<Option<Box<dyn Lease>>, StoreError> {
    let lock = diesel::dsl::sql::<Bool>(&format!("pg_try_advisory_lock({LOCK})"));
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

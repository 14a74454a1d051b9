//! What a person should know of a database before a server is started on it. Reads, and changes nothing.
//!
//! Facts alone: what is good or bad of them is for the caller to say.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mercurio_domain::Clock;
use mercurio_domain::store::{Backend, SchemaState, StoreError};

use crate::error::Failure;
use crate::url::Target;
use crate::{DatabaseUrl, postgres, sqlite};

/// A database as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// Which database it is.
    pub backend: Backend,
    /// The version that the database tells of itself.
    pub version: String,
    /// How long a statement takes that does nothing: the least of three.
    pub latency: Duration,
    /// How the schema stands to this program's.
    pub schema: SchemaState,
    /// Bytes that the database takes.
    pub size_bytes: u64,
    /// The folder in which the file lies; `None`: it lies on a server.
    pub folder: Option<PathBuf>,
    /// What only a server has.
    pub server: Option<ServerFacts>,
}

/// What only a database on a server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// By how much its clock is ahead of this machine's, in microseconds; less than 0: behind.
    pub clock_ahead_micros: i64,
    /// Days after today that have a partition, without a gap; `None`: today has none, or there is no table of events.
    pub days_ahead: Option<u32>,
    /// Settings on which durability stands, each with its value.
    pub settings: Vec<(String, String)>,
    /// Whether it takes no writes: a standby.
    pub is_standby: bool,
    /// Rights that the role lacks, such as `INSERT on events`.
    pub missing_rights: Vec<String>,
    /// Whether the role may make partitions.
    pub may_make_partitions: bool,
}

/// Looks at the database at `url`. `None`: it is a file that does not exist.
///
/// # Errors
/// [`StoreError::Unavailable`] where it can't be reached or read.
pub fn examine(url: &DatabaseUrl, clock: &dyn Clock) -> Result<Option<Examination>, StoreError> {
    match url.target() {
        Target::Postgres(parameters) => {
            postgres::examine(&parameters.to_conninfo(), clock).map(Some)
        }
        Target::Sqlite(path) if !path.exists() => Ok(None),
        Target::Sqlite(path) => sqlite::examine(path).map(Some),
    }
}

/// The least of three.
pub(crate) fn latency(mut ask: impl FnMut() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let mut least = Duration::MAX;
    for _ in 0..3 {
        let asked = Instant::now();
        ask()?;
        least = least.min(asked.elapsed());
    }
    Ok(least)
}

//! Facts about a database, for a person to check before a server starts on it.
//!
//! The caller decides which of them are problems.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mercurio_domain::store::{Backend, RowSecurity, SchemaState};

use crate::error::Error;

/// Facts about a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    /// The kind of database.
    pub backend: Backend,
    /// The version the database reports.
    pub version: String,
    /// Round-trip time of an empty statement: the minimum of three.
    pub latency: Duration,
    /// The schema compared with this program's.
    pub schema: SchemaState,
    /// Size of the database in bytes.
    pub size_bytes: u64,
    /// The folder of the database file; `None` for a server.
    pub folder: Option<PathBuf>,
    /// Facts about the server; `None` for a file.
    pub server: Option<ServerDiagnostics>,
}

/// Facts about a database server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerDiagnostics {
    /// Microseconds the server's clock is ahead of this machine's; negative if behind.
    pub clock_ahead_micros: i64,
    /// Consecutive days after today with a partition; `None` if today has none.
    pub days_ahead: Option<u32>,
    /// The settings that durability depends on.
    pub settings: Vec<ServerSetting>,
    /// Whether it is a read-only standby.
    pub is_standby: bool,
    /// Privileges the role lacks.
    pub missing_rights: MissingRights,
    /// Whether the role may create partitions.
    pub may_make_partitions: bool,
    /// Standbys that commits wait for.
    pub replication: Replication,
    /// Language of messages, such as `C` or `de_DE.UTF-8` (`lc_messages`). Connections ask for `C`,
    /// which only some roles may set.
    pub language: String,
    /// Whether reads of events are limited to one tenant.
    pub row_security: RowSecurity,
    /// Whether a pooler runs transactions of several connections in one session.
    pub is_pooled: bool,
}

/// Privileges a role lacks, such as `INSERT on events`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingRights {
    /// A server cannot work without these.
    pub server: Vec<String>,
    /// `mercurio-admin` cannot manage tenants, workspaces, keys and limits without these.
    pub operator: Vec<String>,
    /// Only other commands of `mercurio-admin`, and retention, need these.
    pub owner: Vec<String>,
}

/// Synchronous replication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    /// `synchronous_standby_names`; empty if commits wait for no standby.
    pub synchronous_names: String,
    /// Synchronous standbys that stream now; `None` if the role may not see them.
    pub streaming: Option<u32>,
}

/// A setting of a database server, as in `pg_settings`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ServerSetting {
    pub name: String,
    pub value: String,
}

/// Measures the minimum time of three calls.
pub(crate) fn latency(
    mut round_trip: impl FnMut() -> Result<(), Error>,
) -> Result<Duration, Error> {
    let mut minimum = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        round_trip()?;
        // The minimum, because delays elsewhere on the machine only add to it.
        minimum = minimum.min(start.elapsed());
    }
    Ok(minimum)
}

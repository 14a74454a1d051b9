//! Facts about a SQLite file.

use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use mercurio_domain::store::{Backend, StoreError};

use super::shared::schema_state::schema_state;
use crate::diagnostics::{Diagnostics, latency};
use crate::error::{Error, ErrorKind};

/// Maximum wait for a lock.
const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) fn diagnose(path: &Path) -> Result<Diagnostics, StoreError> {
    inspect(path).map_err(|error| match error.kind {
        // A file that is not a database counts as unavailable.
        ErrorKind::Internal => Error { kind: ErrorKind::Unavailable, ..error }.into(),
        _ => error.into(),
    })
}

fn inspect(path: &Path) -> Result<Diagnostics, Error> {
    let unavailable = |message: String| Error::new(ErrorKind::Unavailable, message);
    let address = path.to_str().ok_or_else(|| {
        unavailable(format!("the path {} is not UTF-8: rename it", path.display()))
    })?;
    let mut connection = SqliteConnection::establish(address)
        .map_err(|error| unavailable(format!("can't open {}: {error}", path.display())))?;
    let connection = &mut connection;
    connection.batch_execute(&format!(
        // Diagnostics must change nothing, not even by mistake.
        "PRAGMA busy_timeout = {}; PRAGMA query_only = ON",
        TIMEOUT.as_millis()
    ))?;
    // Reads the file's first page; `SELECT 1` would not open it.
    let open = "SELECT count(*) FROM sqlite_schema";
    let latency = latency(|| Ok(connection.batch_execute(open)?))?;
    let version =
        diesel::select(diesel::dsl::sql::<Text>("sqlite_version()")).get_result(connection)?;
    let schema = schema_state(connection)?;
    // Committed events may still be in the log only.
    let log_file =
        path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().display()));
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    // The path may be a link. The disk that matters is the one of the file.
    let folder = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
    Ok(Diagnostics {
        backend: Backend::Sqlite,
        version,
        latency,
        schema,
        size_bytes: size(path) + size(&log_file),
        folder,
        server: None,
    })
}

//! What there is to know of a SQLite file before a server is started on it.

use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use mercurio_domain::store::{Backend, StoreError};

use super::versions;
use crate::error::{Failed, Failure, Fault};
use crate::diagnostics::{Examination, latency};
use crate::pool::failed;

/// How long to wait for a lock.
const TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) fn examine(path: &Path) -> Result<Examination, StoreError> {
    let look = || -> Result<Examination, Failure> {
        let unusable = |reason: String| Failure::Sorted(Fault::Unavailable, reason);
        let address = path.to_str().ok_or_else(|| unusable("the path is not UTF-8".to_owned()))?;
        let mut connection = SqliteConnection::establish(address)
            .map_err(|error| unusable(format!("{} can't be opened: {error}", path.display())))?;
        let connection = &mut connection;
        connection.batch_execute(&format!(
            "PRAGMA busy_timeout = {}; PRAGMA query_only = ON",
            TIMEOUT.as_millis()
        ))?;
        let open = "SELECT count(*) FROM sqlite_schema";
        let latency = latency(|| Ok(connection.batch_execute(open)?))?;
        let version =
            diesel::select(diesel::dsl::sql::<Text>("sqlite_version()")).get_result(connection)?;
        let schema = versions::state(connection)?;
        let log =
            path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().display()));
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        // The path may go through a link: the room that counts is where the file lies.
        let folder = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
        Ok(Examination {
            backend: Backend::Sqlite,
            version,
            latency,
            schema,
            size_bytes: size(path) + size(&log),
            folder,
            server: None,
        })
    };
    Ok(look().map_err(failed::<SqliteConnection>).map_err(|failed| match failed.fault {
        // A file that is no database is as good as none.
        Fault::Internal => Failed { fault: Fault::Unavailable, ..failed },
        _ => failed,
    })?)
}

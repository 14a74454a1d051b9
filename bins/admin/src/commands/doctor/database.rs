//! Checks the database: latency, schema and free space. `server` has the checks of PostgreSQL.
//!
//! The storage crate reads the facts; this file judges them.

use std::path::Path;
use std::time::Duration;

use mercurio_config::Config;
use mercurio_domain::Clock;
use mercurio_domain::store::{Backend, SchemaState};
use mercurio_observability::chain;
use mercurio_storage::{Diagnostics, diagnose};

use super::check::Check;
use super::server;

/// With more latency, groups of events become few and large.
const MAX_LATENCY: Duration = Duration::from_millis(20);
/// Less free space is a warning.
// 1 GiB.
const LOW_SPACE: u64 = 1 << 30;
/// Less free space is a failure.
// 64 MiB.
const NO_SPACE: u64 = 64 << 20;

pub(super) struct DatabaseChecks {
    pub(super) checks: Vec<Check>,
    /// Decides the exit code.
    pub(super) unavailable: bool,
}

pub(super) fn check(config: &Config, clock: &dyn Clock) -> DatabaseChecks {
    const CHECK: &str = "database";
    let url = &config.database_url;
    let found = match diagnose(url, clock) {
        Ok(Some(found)) => found,
        // SQLite only: opening would create the file, and `doctor` changes nothing.
        Ok(None) => {
            let text = format!("{url} does not exist yet");
            let advice = "the server creates it at start; `mercurio-admin migrate` creates it now";
            let checks = vec![Check::warning(CHECK, text, advice)];
            return DatabaseChecks { checks, unavailable: false };
        }
        Err(error) => {
            let text = format!("{url}: {}", chain(&error));
            let advice = "start the database, or correct DATABASE_URL; check the permissions of \
                          the role or the file";
            let checks = vec![Check::failed(CHECK, text, advice)];
            return DatabaseChecks { checks, unavailable: true };
        }
    };
    let mut checks = vec![
        latency(&found, &url.to_string()),
        schema(&found, config.auto_migrate),
        free_space(&found),
    ];
    if let Some(folder) = &found.folder {
        checks.push(folder_rights(folder));
    }
    if let Some(server) = &found.server {
        checks.extend(server::check(server, found.schema.is_usable()));
    }
    DatabaseChecks { checks, unavailable: false }
}

fn latency(found: &Diagnostics, url: &str) -> Check {
    const CHECK: &str = "database";
    let milliseconds = found.latency.as_secs_f64() * 1e3;
    let text = format!("{url}: {} {}, {milliseconds:.1} ms latency", found.backend, found.version);
    if found.latency > MAX_LATENCY {
        return Check::warning(CHECK, text, "move the servers closer to the database");
    }
    Check::ok(CHECK, text)
}

fn schema(found: &Diagnostics, auto_migrate: bool) -> Check {
    const CHECK: &str = "schema";
    match &found.schema {
        SchemaState::Current => Check::ok(CHECK, "current"),
        SchemaState::Older(missing) => {
            let text = format!("lacks {}", missing.join(", "));
            // A server always migrates SQLite, and PostgreSQL only with MERCURIO_AUTO_MIGRATE.
            if found.backend == Backend::Sqlite || auto_migrate {
                return Check::warning(CHECK, text, "nothing to do: the server migrates at start");
            }
            Check::failed(CHECK, text, "run `mercurio-admin migrate`")
        }
        SchemaState::Compatible(unknown) => {
            let unknown = unknown.join(", ");
            Check::warning(
                CHECK,
                format!("has {unknown} of a newer release, compatible with this one"),
                "finish the upgrade, or revert it with `migrate down` of the newer release",
            )
        }
        SchemaState::Newer(unknown) => {
            let text = format!("has {} of a newer release", unknown.join(", "));
            Check::failed(CHECK, text, "use the newer release")
        }
    }
}

fn free_space(found: &Diagnostics) -> Check {
    const CHECK: &str = "free space";
    let size = format!("database size {}", binary_bytes(found.size_bytes));
    let Some(folder) = &found.folder else {
        return Check::ok(CHECK, format!("{size}; PostgreSQL does not report free disk space"));
    };
    let free = match free_bytes(folder) {
        Ok(free) => free,
        Err(error) => {
            let text = format!("{size}; free space unknown: {error}");
            return Check::warning(CHECK, text, format!("check the disk of {}", folder.display()));
        }
    };
    let text = format!("{size}; {} free in {}", binary_bytes(free), folder.display());
    let advice = "free disk space, or delete old events with `events purge`";
    match free {
        _ if free < NO_SPACE => Check::failed(CHECK, text, advice),
        _ if free < LOW_SPACE => Check::warning(CHECK, text, advice),
        _ => Check::ok(CHECK, text),
    }
}

/// Excludes the blocks reserved for root.
fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn binary_bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// SQLite creates its journal next to the database, so write access to the file is not enough.
fn folder_rights(folder: &Path) -> Check {
    use rustix::fs::{Access, access};
    const CHECK: &str = "rights";
    // Opening a file in a folder needs the execute bit of the folder.
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Check::ok(CHECK, format!("{} is writable", folder.display())),
        Err(error) => Check::failed(
            CHECK,
            format!("{} is not writable: {error}", folder.display()),
            "give the folder to the user of the server: SQLite creates files next to the database",
        ),
    }
}

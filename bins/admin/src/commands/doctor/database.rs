//! The database: whether it answers, and whether a server could store events in it for long.

use std::path::Path;
use std::time::Duration;

use mercurio_config::Config;
use mercurio_domain::Clock;
use mercurio_domain::store::{Backend, SchemaState};
use mercurio_observability::chain;
use mercurio_storage::{Diagnostics, ServerDiagnostics, ServerSetting, diagnose};

use super::Check;

/// By how much two clocks may differ.
const CLOCK_MICROS: i64 = 1_000_000;
/// Above this a statement takes so long that groups of events are few and large.
const SLOW: Duration = Duration::from_millis(20);
/// Room below which a disk is full soon, and below which it is full.
const LITTLE_ROOM: u64 = 1 << 30;
const NO_ROOM: u64 = 64 << 20;

/// Adds what was found. Returns whether the database is away.
pub(super) fn look(config: &Config, clock: &dyn Clock, checks: &mut Vec<Check>) -> bool {
    const CHECK: &str = "database";
    let url = &config.database_url;
    let found = match diagnose(url, clock) {
        Ok(Some(found)) => found,
        Ok(None) => {
            let found = format!("{url} is not there yet");
            checks.push(Check::warning(
                CHECK,
                found,
                "the server makes it at its start; `migrate` does so now",
            ));
            return false;
        }
        Err(error) => {
            let advice =
                "start the database, or correct DATABASE_URL; if it is a file, look at its rights";
            checks.push(Check::failed(CHECK, format!("{url}: {}", chain(&error)), advice));
            return true;
        }
    };
    let milliseconds = found.latency.as_secs_f64() * 1e3;
    let text =
        format!("{url}: {} {}, {milliseconds:.1} ms an answer", found.backend, found.version);
    checks.push(if found.latency > SLOW {
        Check::warning(CHECK, text, "bring the servers nearer to the database")
    } else {
        Check::ok(CHECK, text)
    });
    checks.push(schema(&found, config.auto_migrate));
    checks.push(room(&found));
    if let Some(folder) = &found.folder {
        checks.push(folder_rights(folder));
    }
    if let Some(server) = &found.server {
        of_server(server, &found.schema, checks);
    }
    false
}

fn schema(found: &Diagnostics, auto_migrate: bool) -> Check {
    const CHECK: &str = "schema";
    match &found.schema {
        SchemaState::Current => Check::ok(CHECK, "current"),
        SchemaState::Older(missing) => {
            let text = format!("lacks {}", missing.join(", "));
            if found.backend == Backend::Sqlite || auto_migrate {
                Check::warning(CHECK, text, "the server runs it at its start")
            } else {
                Check::failed(CHECK, text, "run `mercurio-admin migrate`")
            }
        }
        SchemaState::Compatible(unknown) => Check::warning(
            CHECK,
            format!(
                "has {}, of a newer release with which this one can share it",
                unknown.join(", ")
            ),
            "finish the upgrade: replace the servers, or take it back with the newer release's `migrate down`",
        ),
        SchemaState::Newer(unknown) => Check::failed(
            CHECK,
            format!("has {}, of a newer release", unknown.join(", ")),
            "use the newer release",
        ),
    }
}

fn room(found: &Diagnostics) -> Check {
    const CHECK: &str = "free space";
    let size = bytes(found.size_bytes);
    let Some(folder) = &found.folder else {
        let text = format!(
            "the database takes {size}; a server of PostgreSQL tells nobody how much room is left"
        );
        return Check::ok(CHECK, text);
    };
    match free(folder) {
        Ok(free) => {
            let text =
                format!("{} free at {}; the database takes {size}", bytes(free), folder.display());
            let advice = "make room, or remove old events: `events purge`";
            match free {
                _ if free < NO_ROOM => Check::failed(CHECK, text, advice),
                _ if free < LITTLE_ROOM => Check::warning(CHECK, text, advice),
                _ => Check::ok(CHECK, text),
            }
        }
        Err(error) => {
            let text = format!("not known: {error}; the database takes {size}");
            Check::warning(CHECK, text, format!("look at the disk of {}", folder.display()))
        }
    }
}

/// Bytes that somebody without privileges can still write.
fn free(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Of a file: SQLite makes others beside it.
fn folder_rights(folder: &Path) -> Check {
    use rustix::fs::{Access, access};
    const CHECK: &str = "rights";
    match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Check::ok(CHECK, format!("{} can be written to", folder.display())),
        Err(error) => Check::failed(
            CHECK,
            format!("{} can't be written to: {error}", folder.display()),
            "give the folder to the user that runs the server: SQLite makes files beside the database",
        ),
    }
}

fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

fn of_server(server: &ServerDiagnostics, schema: &SchemaState, checks: &mut Vec<Check>) {
    let ahead = server.clock_ahead_micros;
    let which = if ahead < 0 { "behind" } else { "ahead of" };
    let text = format!(
        "the database's is {:.1} ms {which} this machine's",
        ahead.unsigned_abs() as f64 / 1e3
    );
    checks.push(if ahead.abs() > CLOCK_MICROS {
        Check::warning(
            "clock",
            text,
            "let NTP set both clocks: times of events are checked by this machine's",
        )
    } else {
        Check::ok("clock", text)
    });
    checks.push(durability(server));
    // Without the tables there is nothing to have rights on.
    if schema.is_usable() {
        checks.push(rights(server));
        checks.push(partitions(server));
    }
}

fn durability(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "durability";
    let settings = server.settings.iter();
    let text: Vec<String> =
        settings.map(|ServerSetting { name, value }| format!("{name} {value}")).collect();
    let text = text.join(", ");
    if server.is_standby {
        return Check::failed(
            CHECK,
            format!("a standby, which takes no writes; {text}"),
            "name the primary",
        );
    }
    let off: Vec<&str> = server
        .settings
        .iter()
        .filter(|setting| setting.value == "off")
        .map(|setting| setting.name.as_str())
        .collect();
    if off.is_empty() {
        return Check::ok(CHECK, text);
    }
    let advice = format!(
        "set {} to on in postgresql.conf: a crash of the machine may lose events that were acknowledged",
        off.join(" and ")
    );
    Check::failed(CHECK, text, advice)
}

fn rights(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "rights";
    if server.missing_rights.is_empty() {
        return Check::ok(CHECK, "the role may do all that a server does");
    }
    let advice = "grant them to the role, or name another in DATABASE_URL";
    Check::failed(CHECK, format!("the role lacks {}", server.missing_rights.join(", ")), advice)
}

fn partitions(server: &ServerDiagnostics) -> Check {
    const CHECK: &str = "partitions";
    let text = match server.days_ahead {
        None => "there is none for today".to_owned(),
        Some(days) => format!("made for today and {days} days ahead"),
    };
    match server.days_ahead {
        Some(_) | None if server.may_make_partitions => {
            Check::ok(CHECK, format!("{text}; a server makes them"))
        }
        None => Check::failed(
            CHECK,
            format!("{text}, and the role may not make it"),
            "run `mercurio-admin migrate` as the owner of the tables, once a day",
        ),
        Some(days) => {
            let text = format!("{text}; the role may not make more");
            let advice = "run `mercurio-admin migrate` as the owner of the tables, once a day";
            if days < 2 {
                Check::failed(CHECK, text, advice)
            } else {
                Check::warning(CHECK, text, advice)
            }
        }
    }
}

//! `doctor`: checks the settings, the database and Redis before a server starts, with advice for
//! each finding.
//!
//! It changes nothing: it creates no file and runs no migration. A check is skipped if its input is
//! missing.

mod check;
mod database;
mod files;
mod redis;
mod server;

use mercurio_config::{CheckedConfig, Source};
use serde::Serialize;

use self::check::{Check, CheckState};
use super::report::Report;
use crate::error::{AdminError, Exit};
use crate::machine::Machine;

#[derive(Serialize)]
struct DoctorOutput {
    /// Worst state of the checks.
    state: CheckState,
    checks: Vec<Check>,
}

pub(super) fn run(machine: &Machine<'_>) -> Result<Report, AdminError> {
    // Unlike other commands, `doctor` continues with invalid settings and checks the valid ones.
    let reading = CheckedConfig::read(machine.setting, (machine.setting_names)());
    let mut checks = check_settings(&reading);
    checks.extend(check_geoip_database(&reading));
    let mut database_unavailable = false;
    if !is_invalid(&reading, "DATABASE_URL") {
        let database = database::check(&reading.config, machine.clock);
        checks.extend(database.checks);
        database_unavailable = database.unavailable;
    }
    if !is_invalid(&reading, "MERCURIO_REDIS_URL") {
        checks.push(redis::check(&reading.config));
    }
    checks.push(files::check());
    let state = checks.iter().map(|check| check.state).max().unwrap_or(CheckState::Ok);
    // 69 goes before 1: a script may wait for a database and try again.
    let exit = match state {
        _ if database_unavailable => Exit::Unavailable,
        CheckState::Failed => Exit::Failed,
        // A warning must not stop a deployment that runs `doctor` first.
        CheckState::Ok | CheckState::Warning => Exit::Done,
    };
    Ok(Report::new(&DoctorOutput { state, checks })?.with_exit(exit))
}

/// Whether the setting, or its variant that names a file, is invalid.
fn is_invalid(reading: &CheckedConfig, name: &str) -> bool {
    reading.invalid.iter().any(|invalid| invalid.name.starts_with(name))
}

fn check_settings(reading: &CheckedConfig) -> Vec<Check> {
    const CHECK: &str = "settings";
    let mut checks = Vec::new();
    for invalid in &reading.invalid {
        let advice = format!("correct {}; .env.example lists the valid values", invalid.name);
        checks.push(Check::failed(CHECK, invalid.to_string(), advice));
    }
    if checks.is_empty() {
        let settings = &reading.config.in_force;
        let set = settings.iter().filter(|setting| setting.source != Source::Default).count();
        checks.push(Check::ok(CHECK, format!("{set} set, the others at their defaults")));
    }
    checks
}

fn check_geoip_database(reading: &CheckedConfig) -> Option<Check> {
    let path = reading.config.geoip_db.as_ref()?;
    // Only opened: the server parses the file at start.
    let error = std::fs::File::open(path).err()?;
    let found = format!("MERCURIO_GEOIP_DB: {} is not readable: {error}", path.display());
    Some(Check::failed("settings", found, "put the file there, or unset MERCURIO_GEOIP_DB"))
}

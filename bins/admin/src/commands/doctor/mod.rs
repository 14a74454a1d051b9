//! `doctor`: what is in the way of a server with these settings, check by check, each with what to do.
//!
//! Nothing is changed, no file made, no migration run. A check that needs what another did not find is left out.

mod database;
mod redis;

use mercurio_config::Reading;
use serde::Serialize;

use super::{Done, Outcome};
use crate::{Exit, Machine};

/// What `doctor` prints.
#[derive(Debug, Serialize)]
pub struct Checks {
    /// The worst of all.
    pub state: State,
    /// Each check, in the order in which they were made.
    pub checks: Vec<Check>,
    #[serde(skip)]
    database_is_away: bool,
}

/// One look at one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// What was found. Holds no secret.
    pub found: String,
    /// What to do; `null`: nothing.
    pub advice: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// A server runs with it, and somebody should know.
    Warning,
    /// No server should run with it.
    Failed,
}

impl Checks {
    pub(super) fn exit(&self) -> Exit {
        match self.state {
            _ if self.database_is_away => Exit::Unavailable,
            State::Failed => Exit::Failed,
            State::Ok | State::Warning => Exit::Done,
        }
    }
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), advice: None }
    }

    fn warning(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, state: State::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    fn failed(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, state: State::Failed, found: found.into(), advice: Some(advice.into()) }
    }
}

pub(super) fn doctor(machine: &Machine<'_>) -> Done {
    let reading = Reading::of(machine.setting, (machine.names)());
    let mut checks = settings(&reading);
    let is_wrong =
        |name: &str| reading.invalid.iter().any(|mistake| mistake.name.starts_with(name));
    let mut database_is_away = false;
    if !is_wrong("DATABASE_URL") {
        database_is_away = database::look(&reading.config, machine.clock, &mut checks);
    }
    if !is_wrong("MERCURIO_REDIS_URL") {
        checks.push(redis::look(&reading.config));
    }
    let state = checks.iter().map(|check| check.state).max().unwrap_or(State::Ok);
    Done { result: Outcome::Checks(Checks { state, checks, database_is_away }), notes: Vec::new() }
}

fn settings(reading: &Reading) -> Vec<Check> {
    const CHECK: &str = "settings";
    let advice = |name: &str| format!("correct {name}; .env.example tells what it takes");
    let mut checks: Vec<Check> = reading
        .invalid
        .iter()
        .map(|mistake| Check::failed(CHECK, mistake.to_string(), advice(&mistake.name)))
        .collect();
    if checks.is_empty() {
        let set = reading
            .config
            .in_force
            .iter()
            .filter(|setting| setting.source != mercurio_config::Source::Default);
        checks.push(Check::ok(
            CHECK,
            format!("{} are set, the others have their defaults", set.count()),
        ));
    }
    if let Some(path) = &reading.config.geoip_db
        && let Err(error) = std::fs::File::open(path)
    {
        let found = format!("MERCURIO_GEOIP_DB: {} can't be read: {error}", path.display());
        checks.push(Check::failed(CHECK, found, "put the file there, or unset MERCURIO_GEOIP_DB"));
    }
    checks
}

//! Every setting of a server: its name, unit, range and default, and the value that is in force.
//!
//! [`Config::read`] takes them from the environment, and those that hold a secret from a file where one is named; all
//! invalid are told at once. [`Config::in_force`] is the list to show, with secrets hidden: the server logs it, and
//! `mercurio-admin config` prints it. Every name stands in `.env.example`; a test holds the two together.
//!
//! Not here: what the settings do, and settings that only one command knows, such as those of `mercurio-admin seed`.

mod config;
mod origins;
mod reader;
mod setting;

pub use config::{Config, Reading, database_url};
pub use origins::{InvalidOrigin, check_origins};
pub use setting::{ConfigError, InvalidSetting, Setting, Source};

/// The value of a variable of this process's environment. What is not UTF-8 is no setting's value, and is told as it can be.
#[must_use]
pub fn of_process(name: &str) -> Option<String> {
    std::env::var_os(name).map(|text| text.to_string_lossy().into_owned())
}

/// The names of all variables of this process's environment.
pub fn names_of_process() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

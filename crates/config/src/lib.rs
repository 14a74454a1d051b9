//! Every setting of a server: its name, unit, range and default, and the value in force.
//!
//! [`Config::read`] reads them from the environment, and secrets also from files. It reports all
//! invalid settings at once. [`Config::in_force`] lists the settings with secrets hidden: the
//! server logs it, `mercurio-admin config` prints it. `.env.example` describes every name; a test
//! compares the two.
//!
//! Each library owns the types of its options and URLs. Settings of a single command, such as
//! `mercurio-admin seed`, are read by that command.

mod address;
mod config;
mod origins;
mod reader;
mod setting;

pub use address::{InvalidAddress, ListenAddress};
pub use config::{CheckedConfig, Config, database_url};
pub use origins::{InvalidOrigin, check_origins};
pub use setting::{ConfigError, InvalidSetting, Setting, SettingsByName, Source};

/// Returns a variable of this process's environment. Bytes outside UTF-8 are replaced, so the
/// setting fails its own check instead of looking unset.
#[must_use]
pub fn process_env(name: &str) -> Option<String> {
    std::env::var_os(name).map(|text| text.to_string_lossy().into_owned())
}

/// Returns the names of all variables of this process's environment.
pub fn process_env_names() -> impl Iterator<Item = String> {
    // Our names are ASCII, so a name with other bytes is not one of them.
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

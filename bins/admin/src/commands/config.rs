//! `config`: lists the settings in force.

use mercurio_config::{Config, Setting};
use serde::Serialize;

use super::report::Report;
use crate::error::AdminError;
use crate::machine::Machine;

#[derive(Serialize)]
struct SettingsOutput {
    settings: Vec<Setting>,
}

pub(super) fn run(machine: &Machine<'_>) -> Result<Report, AdminError> {
    match Config::read(machine.setting, (machine.setting_names)()) {
        Ok(config) => Report::new(&SettingsOutput { settings: config.in_force }),
        Err(error) => Err(AdminError::Usage(error.0.iter().map(ToString::to_string).collect())),
    }
}

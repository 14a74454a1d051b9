//! `config`: the settings that are in force.

use mercurio_config::{Config, Setting};
use serde::Serialize;

use super::{Done, Outcome};
use crate::{AdminError, Machine};

/// What `config` prints.
#[derive(Debug, Serialize)]
pub struct InForce {
    /// Every setting of a server.
    pub settings: Vec<Setting>,
}

pub(super) fn config(machine: &Machine<'_>) -> Result<Done, AdminError> {
    let config = Config::read(machine.setting, (machine.names)())
        .map_err(|error| AdminError::Usage(error.0.iter().map(ToString::to_string).collect()))?;
    Ok(Done { result: Outcome::InForce(InForce { settings: config.in_force }), notes: Vec::new() })
}

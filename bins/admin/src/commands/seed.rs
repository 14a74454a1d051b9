//! `seed`: creates the tenant named in the settings, unless it exists. Deployments may run it at
//! every start.

use mercurio_domain::api_key::Scopes;
use mercurio_domain::store::{Store, TenantDetails, TenantRef};
use mercurio_storage::DatabaseUrl;

use super::lookup;
use super::provision::{self, ProvisionOutput};
use super::report::Report;
use crate::cli::ProvisionCommand;
use crate::cli::values::{DEFAULT_WORKSPACE, default_key_name, name};
use crate::database;
use crate::error::AdminError;
use crate::machine::Machine;
use crate::output::Output;

#[derive(Debug)]
pub(super) struct SeedSettings {
    pub(super) database_url: DatabaseUrl,
    pub(super) command: ProvisionCommand,
}

/// Reads `DATABASE_URL`, `SEED_TENANT_NAME` and `SEED_WORKSPACE_NAME`.
///
/// # Errors
/// [`AdminError::Usage`] with every invalid setting.
pub(super) fn read_settings(
    setting: &dyn Fn(&str) -> Option<String>,
) -> Result<SeedSettings, AdminError> {
    let mut invalid = Vec::new();
    let database_url = database::url(setting, &mut invalid);
    let command = read_command(setting, &mut invalid);
    match (database_url, command) {
        (Some(database_url), Some(command)) => Ok(SeedSettings { database_url, command }),
        _ => Err(AdminError::Usage(invalid)),
    }
}

fn read_command(
    setting: &dyn Fn(&str) -> Option<String>,
    invalid: &mut Vec<String>,
) -> Option<ProvisionCommand> {
    let tenant = match setting("SEED_TENANT_NAME") {
        Some(text) => name("SEED_TENANT_NAME", &text, invalid),
        None => {
            invalid.push("SEED_TENANT_NAME is not set: set it to the tenant's name".to_owned());
            None
        }
    };
    let workspace = setting("SEED_WORKSPACE_NAME");
    let workspace = workspace.as_deref().unwrap_or(DEFAULT_WORKSPACE);
    let workspace = name("SEED_WORKSPACE_NAME", workspace, invalid)?;
    let key_name = default_key_name(&workspace, invalid)?;
    let scopes = Scopes::all();
    Some(ProvisionCommand { tenant: tenant?, workspace, key_name, scopes, samples: false })
}

pub(super) fn run(
    store: &dyn Store,
    command: &ProvisionCommand,
    machine: &Machine<'_>,
    out: &mut Output<'_>,
) -> Result<Report, AdminError> {
    // Create first, look second: another seed may run at the same time.
    match provision::run(store, command, machine, out) {
        // An existing tenant needs no stdout: its key is not printed.
        Err(error @ (AdminError::NameTaken(_) | AdminError::StdoutLost)) => {
            report_existing(store, command, error)
        }
        other => other,
    }
}

/// Returns `error` without the tenant: another command deleted it, or it was not created.
fn report_existing(
    store: &dyn Store,
    command: &ProvisionCommand,
    error: AdminError,
) -> Result<Report, AdminError> {
    let Some(TenantDetails { tenant, .. }) =
        store.tenant(&TenantRef::Name(command.tenant.clone()))?
    else {
        return Err(error);
    };
    let Some(workspace) = lookup::workspace(store, &tenant, &command.workspace)? else {
        let workspace = command.workspace.clone();
        return Err(AdminError::SeedWorkspaceMissing { tenant: tenant.name, workspace });
    };
    let note = format!(
        "the tenant {:?} exists: nothing was changed, and its key cannot be printed again",
        tenant.name.as_str()
    );
    Ok(Report::new(&ProvisionOutput::existing(&tenant, &workspace))?.with_note(note))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(settings: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn invalid_seed_settings_are_reported_together() {
        let error = read_settings(&lookup(&[("SEED_WORKSPACE_NAME", " ")])).unwrap_err();
        assert_eq!(error.lines().len(), 2, "{error}");
    }

    #[test]
    fn seed_workspace_has_a_default_name() {
        let settings = read_settings(&lookup(&[("SEED_TENANT_NAME", "Acme")])).unwrap();
        assert_eq!(settings.command.workspace.as_str(), "Default");
    }
}

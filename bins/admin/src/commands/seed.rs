//! `seed`: makes the tenant that the settings name, unless it is there. May run at every start of a deployment.

use mercurio_domain::api_key::Scopes;
use mercurio_domain::store::{Store, TenantDetails, TenantRef};

use super::provision::provision;
use super::{Done, Outcome, Provisioned, SampleCount};
use crate::cli::{ProvisionCommand, key_name_of};
use crate::config::{Lookup, seed_names};
use crate::{AdminError, Machine};

/// What the settings ask for. What is wrong with them goes to `invalid`.
pub(super) fn request(setting: Lookup<'_>, invalid: &mut Vec<String>) -> Option<ProvisionCommand> {
    let (tenant, workspace) = seed_names(setting, invalid)?;
    let key_name = key_name_of(&workspace, invalid)?;
    Some(ProvisionCommand { tenant, workspace, key_name, scopes: Scopes::all(), samples: false })
}

pub(super) fn seed(
    store: &dyn Store,
    command: &ProvisionCommand,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    // Made first and looked for after, since another seed may run at the same time.
    match provision(store, command, machine) {
        Err(AdminError::NameTaken(_)) => existing(store, command),
        other => other,
    }
}

fn existing(store: &dyn Store, command: &ProvisionCommand) -> Result<Done, AdminError> {
    let found = store.tenant(&TenantRef::Name(command.tenant.clone()))?;
    let Some(TenantDetails { tenant, .. }) = found else {
        // Taken a moment ago and gone now.
        return Err(AdminError::NameTaken(command.tenant.clone()));
    };
    let mut workspaces = store.workspaces(tenant.id)?.into_iter();
    let Some(workspace) =
        workspaces.find(|known| known.name.folded() == command.workspace.folded())
    else {
        let workspace = command.workspace.clone();
        return Err(AdminError::NoSuchWorkspace { tenant: tenant.name, workspace });
    };
    let result = Provisioned {
        tenant: (&tenant).into(),
        workspace: (&workspace).into(),
        api_key: None,
        samples: SampleCount { events: 0 },
        created_at: tenant.created_at,
    };
    let note = format!(
        "the tenant {:?} exists; nothing was changed, and its key can't be shown again",
        tenant.name.as_str()
    );
    Ok(Done { result: Outcome::Provisioned(result), notes: vec![note] })
}

//! `provision`: makes a tenant with a workspace and an API key, and shows the key once.

use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Scopes};
use mercurio_domain::store::{self, Provisioning, Store};
use mercurio_domain::tenant::{Name, Tenant, Workspace};
use mercurio_domain::{ApiKeyId, Timestamp};
use serde::Serialize;

use super::key::SHOWN_ONCE;
use super::{Done, Outcome};
use crate::cli::ProvisionCommand;
use crate::samples::samples;
use crate::{AdminError, Machine, database};

/// What `provision` and `seed` print.
#[derive(Debug, Serialize)]
pub struct Provisioned {
    /// The tenant.
    pub tenant: Named,
    /// Its workspace.
    pub workspace: Named,
    /// The key; `null` where none was made.
    pub api_key: Option<NewKey>,
    /// The example events that were added.
    pub samples: SampleCount,
    /// When the tenant was made.
    pub created_at: Timestamp,
}

/// Something with an id and a name.
#[derive(Debug, Serialize)]
pub struct Named {
    /// The id, a string.
    pub id: String,
    /// The name.
    pub name: Name,
}

/// A key that was just made. It is never debugged with its secret.
#[derive(Serialize)]
pub struct NewKey {
    /// The public id.
    pub id: ApiKeyId,
    /// The name.
    pub name: Name,
    /// What it may do.
    pub scopes: Scopes,
    /// The key itself.
    pub key: String,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewKey({}, ***)", self.id)
    }
}

/// How many example events were added.
#[derive(Debug, Serialize)]
pub struct SampleCount {
    /// Events.
    pub events: usize,
}

impl From<&Tenant> for Named {
    fn from(tenant: &Tenant) -> Self {
        Self { id: tenant.id.to_string(), name: tenant.name.clone() }
    }
}

impl From<&Workspace> for Named {
    fn from(workspace: &Workspace) -> Self {
        Self { id: workspace.id.to_string(), name: workspace.name.clone() }
    }
}

pub(super) fn provision(
    store: &dyn Store,
    command: &ProvisionCommand,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    database::prepare(store)?;
    let mut entropy = [0; ENTROPY_BYTES];
    (machine.entropy)(&mut entropy)?;
    let new = NewApiKey::generate(&entropy);
    let created_at = machine.clock.now();
    let request = Provisioning {
        tenant: command.tenant.clone(),
        workspace: command.workspace.clone(),
        key_name: command.key_name.clone(),
        key_id: new.id,
        secret_hash: new.secret_hash,
        scopes: command.scopes,
        samples: if command.samples { samples(machine.ids, created_at) } else { Vec::new() },
        created_at,
    };
    let made = store.provision(&request).map_err(AdminError::of_tenant(&command.tenant))?;
    let store::Provisioned { tenant, workspace, api_key, samples } = made;
    let result = Provisioned {
        tenant: (&tenant).into(),
        workspace: (&workspace).into(),
        api_key: Some(NewKey {
            id: api_key.id,
            name: api_key.name,
            scopes: api_key.scopes,
            key: new.key.expose().to_owned(),
        }),
        samples: SampleCount { events: samples },
        created_at,
    };
    Ok(Done { result: Outcome::Provisioned(result), notes: vec![SHOWN_ONCE.to_owned()] })
}

//! `provision`: creates a tenant with a workspace and an API key in one transaction, and prints the
//! key once.

use mercurio_domain::api_key::Scopes;
use mercurio_domain::store::{self, Provisioning, Store};
use mercurio_domain::tenant::{Name, Tenant, Workspace};
use mercurio_domain::{ApiKeyId, Timestamp};
use serde::Serialize;

use super::lookup::IdAndName;
use super::new_key;
use super::report::Report;
use crate::cli::ProvisionCommand;
use crate::database;
use crate::error::{AdminError, CatalogItem, ItemKind};
use crate::machine::Machine;
use crate::output::Output;
use crate::samples::samples;

#[derive(Serialize)]
pub(super) struct ProvisionOutput {
    tenant: IdAndName,
    workspace: IdAndName,
    /// `null` if `seed` found an existing tenant.
    api_key: Option<NewKeyOutput>,
    samples: SampleCount,
    /// Time of the tenant's creation.
    created_at: Timestamp,
}

/// Not `Debug`, because it contains the secret.
#[derive(Serialize)]
struct NewKeyOutput {
    id: ApiKeyId,
    name: Name,
    scopes: Scopes,
    /// The whole key with its secret.
    key: String,
}

#[derive(Serialize)]
struct SampleCount {
    events: usize,
}

impl ProvisionOutput {
    pub(super) fn existing(tenant: &Tenant, workspace: &Workspace) -> Self {
        Self {
            tenant: tenant.into(),
            workspace: workspace.into(),
            api_key: None,
            samples: SampleCount { events: 0 },
            created_at: tenant.created_at,
        }
    }
}

pub(super) fn run(
    store: &dyn Store,
    command: &ProvisionCommand,
    machine: &Machine<'_>,
    out: &mut Output<'_>,
) -> Result<Report, AdminError> {
    database::prepare_schema(store)?;
    // Before the transaction: without random bytes or stdout no tenant is created.
    let new = new_key::generate(machine)?;
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
    // One transaction: a failure leaves neither a tenant nor a key.
    let created = store.provision(&request).map_err(|error| {
        let tenant = CatalogItem::new(ItemKind::Tenant, &command.tenant);
        AdminError::not_created(error, tenant.clone(), tenant)
    })?;
    let store::Provisioned { tenant, workspace, api_key, samples } = created;
    let output = ProvisionOutput {
        tenant: (&tenant).into(),
        workspace: (&workspace).into(),
        api_key: Some(NewKeyOutput {
            id: api_key.id.clone(),
            name: api_key.name,
            scopes: api_key.scopes,
            key: new.key.expose().to_owned(),
        }),
        samples: SampleCount { events: samples },
        created_at,
    };
    new_key::print(&output, &api_key.id, store, machine, out)?;
    Ok(Report::without_result().with_note(new_key::PRINTED_ONCE))
}

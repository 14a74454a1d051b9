//! A new tenant, complete enough to send events.

use mercurio_domain::Owner;
use mercurio_domain::store::{Provisioned, Provisioning, Submission};

use super::{DbConnection, api_keys, catalog, events};
use crate::error::Error;

/// Creates a tenant with one workspace and one key, and stores its samples.
///
/// Fails with [`ErrorKind::NameTaken`](crate::error::ErrorKind::NameTaken) by the unique constraint. If another transaction is creating
/// the same name, this one waits for it to end.
pub(crate) fn provision(
    connection: &mut DbConnection,
    request: &Provisioning,
) -> Result<Provisioned, Error> {
    // The tenant comes first: its unique name decides a race before other rows are written.
    let tenant = catalog::create_tenant(connection, &request.tenant, request.created_at)?;
    let workspace =
        catalog::create_workspace(connection, tenant.id, &request.workspace, request.created_at)?;
    let owner = Owner { tenant_id: tenant.id, workspace_id: workspace.id };
    api_keys::create_api_key(connection, &request.key(owner))?;
    let samples =
        Submission { owner, received_at: request.created_at, events: request.samples.clone() };
    let stored = events::append_samples(connection, &[samples])?;
    Ok(Provisioned::new(owner, request, stored))
}

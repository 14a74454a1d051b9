//! Tenants, workspaces and API keys in PostgreSQL.

use diesel::prelude::*;
use mercurio_domain::api_key::ApiKey;
use mercurio_domain::store::{Provisioned, Provisioning, Submission};
use mercurio_domain::tenant::{Name, Tenant, TenantStatus, Workspace};
use mercurio_domain::{ApiKeyId, Owner, TenantId, Timestamp, WorkspaceId};

use super::events;
use super::schema::{api_keys, tenants, workspaces};
use crate::error::Failure;
use crate::rows::{ApiKeyRow, Micros, TenantRow, WorkspaceRow};
use crate::verdicts::Candidates;

/// Makes a tenant with one workspace and one key, and stores its samples; `None` where the name is taken.
///
/// The name's unique constraint decides. Where another transaction is making a tenant of that name, this waits for its end.
pub(super) fn provision(connection: &mut PgConnection, request: &Provisioning) -> Result<Option<Provisioned>, Failure> {
    let created_at = Micros::from(request.created_at);
    let tenant_id = diesel::insert_into(tenants::table)
        .values((
            tenants::name.eq(request.tenant.as_str()),
            tenants::name_key.eq(request.tenant.folded()),
            tenants::status.eq(TenantStatus::Active.as_str()),
            tenants::created_at.eq(created_at),
        ))
        .on_conflict(tenants::name_key)
        .do_nothing()
        .returning(tenants::id)
        .get_result::<i64>(connection)
        .optional()?;
    let Some(tenant_id) = tenant_id else {
        return Ok(None);
    };
    let workspace_id = diesel::insert_into(workspaces::table)
        .values((
            workspaces::tenant_id.eq(tenant_id),
            workspaces::name.eq(request.workspace.as_str()),
            workspaces::name_key.eq(request.workspace.folded()),
            workspaces::created_at.eq(created_at),
        ))
        .returning(workspaces::id)
        .get_result::<i64>(connection)?;
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(request.key_id.as_str()),
            api_keys::tenant_id.eq(tenant_id),
            api_keys::workspace_id.eq(workspace_id),
            api_keys::name.eq(request.key_name.as_str()),
            api_keys::scopes.eq(request.scopes.to_string()),
            api_keys::secret_sha256.eq(request.secret_hash.as_bytes().as_slice()),
            api_keys::created_at.eq(created_at),
        ))
        .execute(connection)?;
    let owner = Owner { tenant_id: TenantId(tenant_id), workspace_id: WorkspaceId(workspace_id) };
    let samples = [Submission { owner, received_at: request.created_at, events: request.samples.clone() }];
    let stored = events::append(connection, &Candidates::of(&samples), events::Way::Claim)?.len();
    Ok(Some(Provisioned::new(owner, request, stored)))
}

pub(super) fn find_tenant(
    connection: &mut PgConnection,
    tenant: &Name,
    workspace: &Name,
) -> Result<Option<(Tenant, Option<Workspace>)>, Failure> {
    let found = tenants::table
        .filter(tenants::name_key.eq(tenant.folded()))
        .select((tenants::id, tenants::name, tenants::status, tenants::created_at))
        .first::<TenantRow>(connection)
        .optional()?;
    let Some(tenant) = found.map(TenantRow::into_tenant).transpose()? else {
        return Ok(None);
    };
    let workspace = workspaces::table
        .filter(workspaces::tenant_id.eq(tenant.id.0).and(workspaces::name_key.eq(workspace.folded())))
        .select((workspaces::id, workspaces::name, workspaces::created_at))
        .first::<WorkspaceRow>(connection)
        .optional()?;
    let workspace = workspace.map(|row| row.into_workspace(tenant.id)).transpose()?;
    Ok(Some((tenant, workspace)))
}

pub(super) fn has_tenants(connection: &mut PgConnection) -> Result<bool, Failure> {
    Ok(diesel::select(diesel::dsl::exists(tenants::table.select(tenants::id))).get_result(connection)?)
}

pub(super) fn find_api_key(connection: &mut PgConnection, id: &ApiKeyId) -> Result<Option<ApiKey>, Failure> {
    let found = api_keys::table
        .inner_join(tenants::table)
        .filter(api_keys::id.eq(id.as_str()))
        .select((
            api_keys::id,
            api_keys::tenant_id,
            api_keys::workspace_id,
            api_keys::name,
            api_keys::scopes,
            api_keys::secret_sha256,
            api_keys::created_at,
            api_keys::expires_at,
            api_keys::revoked_at,
            tenants::status,
        ))
        .first::<ApiKeyRow>(connection)
        .optional()?;
    found.map(ApiKeyRow::into_api_key).transpose()
}

/// Ends a key that has not ended before, and returns it as it then is.
pub(super) fn revoke_api_key(
    connection: &mut PgConnection,
    id: &ApiKeyId,
    revoked_at: Timestamp,
) -> Result<Option<ApiKey>, Failure> {
    diesel::update(api_keys::table)
        .filter(api_keys::id.eq(id.as_str()).and(api_keys::revoked_at.is_null()))
        .set(api_keys::revoked_at.eq(Micros::from(revoked_at)))
        .execute(connection)?;
    find_api_key(connection, id)
}

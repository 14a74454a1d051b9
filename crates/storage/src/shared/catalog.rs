//! Tenants, workspaces, API keys and limits.

use diesel::prelude::*;
use mercurio_domain::api_key::{ApiKey, KeyUse};
use mercurio_domain::limits::{LimitChange, LimitOverrides};
use mercurio_domain::store::{
    KeyRequest, Provisioned, Provisioning, Submission, TenantDetails, TenantRef,
};
use mercurio_domain::tenant::{Name, Tenant, TenantStatus, Workspace};
use mercurio_domain::{ApiKeyId, Owner, TenantId, Timestamp};

use super::schema::{api_keys, tenant_limits, tenants, workspaces};
use super::{DbConnection, events};
use crate::error::{Error, ErrorKind};
use crate::rows::{self, ApiKeyRow, LimitRow, Micros, TenantRow, WorkspaceRow};

type TenantColumns =
    (tenants::id, tenants::name, tenants::status, tenants::created_at, tenants::deleted_at);

fn tenant_columns() -> TenantColumns {
    (tenants::id, tenants::name, tenants::status, tenants::created_at, tenants::deleted_at)
}

type WorkspaceColumns = (workspaces::id, workspaces::name, workspaces::created_at);

fn workspace_columns() -> WorkspaceColumns {
    (workspaces::id, workspaces::name, workspaces::created_at)
}

/// The columns of an [`ApiKeyRow`].
type KeyColumns = (
    api_keys::id,
    api_keys::tenant_id,
    api_keys::workspace_id,
    api_keys::name,
    api_keys::scopes,
    api_keys::secret_sha256,
    api_keys::created_at,
    api_keys::expires_at,
    api_keys::revoked_at,
    api_keys::last_used_at,
    tenants::status,
    tenants::deleted_at,
);

fn key_columns() -> KeyColumns {
    use api_keys::*;
    (
        id,
        tenant_id,
        workspace_id,
        name,
        scopes,
        secret_sha256,
        created_at,
        expires_at,
        revoked_at,
        last_used_at,
        tenants::status,
        tenants::deleted_at,
    )
}

fn name_taken() -> Error {
    Error::new(ErrorKind::NameTaken, "the name is taken")
}

fn no_owner() -> Error {
    Error::new(ErrorKind::NoOwner, "there is no such tenant or workspace")
}

/// Creates a tenant with one workspace and one key, and stores its samples.
///
/// Fails with [`ErrorKind::NameTaken`] by the unique constraint. If another transaction is creating
/// the same name, this one waits for it to end.
pub(crate) fn provision(
    connection: &mut DbConnection,
    request: &Provisioning,
) -> Result<Provisioned, Error> {
    // The tenant comes first: its unique name decides a race before other rows are written.
    let tenant = create_tenant(connection, &request.tenant, request.created_at)?;
    let workspace =
        create_workspace(connection, tenant.id, &request.workspace, request.created_at)?;
    let owner = Owner { tenant_id: tenant.id, workspace_id: workspace.id };
    create_api_key(connection, &request.key(owner))?;
    let samples =
        Submission { owner, received_at: request.created_at, events: request.samples.clone() };
    let stored = events::append_samples(connection, &[samples])?;
    Ok(Provisioned::new(owner, request, stored))
}

pub(crate) fn has_tenants(connection: &mut DbConnection) -> Result<bool, Error> {
    Ok(diesel::select(diesel::dsl::exists(tenants::table.select(tenants::id)))
        .get_result(connection)?)
}

pub(crate) fn tenants(
    connection: &mut DbConnection,
    after: Option<TenantId>,
    limit: usize,
) -> Result<Vec<Tenant>, Error> {
    let rows = tenants::table
        .filter(tenants::id.gt(after.map_or(i64::MIN, |id| id.0)))
        .order(tenants::id)
        // A limit beyond i64 is no limit.
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(tenant_columns())
        .load::<TenantRow>(connection)?;
    rows.into_iter().map(TenantRow::into_tenant).collect()
}

pub(crate) fn tenant(
    connection: &mut DbConnection,
    which: &TenantRef,
) -> Result<Option<TenantDetails>, Error> {
    let query = tenants::table.select(tenant_columns()).into_boxed();
    let query = match which {
        // `name_key` has the unique index; the name itself keeps its case.
        TenantRef::Name(name) => query.filter(tenants::name_key.eq(name.folded())),
        TenantRef::Id(id) => query.filter(tenants::id.eq(id.0)),
    };
    let Some(row) = query.first::<TenantRow>(connection).optional()? else {
        return Ok(None);
    };
    let tenant = row.into_tenant()?;
    let limits = limits_of(connection, tenant.id)?;
    Ok(Some(TenantDetails { tenant, limits }))
}

fn limits_of(connection: &mut DbConnection, id: TenantId) -> Result<LimitOverrides, Error> {
    let rows = tenant_limits::table
        .filter(tenant_limits::tenant_id.eq(id.0))
        .select((tenant_limits::name, tenant_limits::value))
        .load::<LimitRow>(connection)?;
    Ok(rows::limits(&rows))
}

pub(crate) fn create_tenant(
    connection: &mut DbConnection,
    name: &Name,
    created_at: Timestamp,
) -> Result<Tenant, Error> {
    let row = diesel::insert_into(tenants::table)
        .values((
            tenants::name.eq(name.as_str()),
            tenants::name_key.eq(name.folded()),
            tenants::status.eq(TenantStatus::Active.as_str()),
            tenants::created_at.eq(Micros::from(created_at)),
        ))
        // Without a row to return the name is taken. A failed INSERT would abort the transaction.
        .on_conflict(tenants::name_key)
        .do_nothing()
        .returning(tenant_columns())
        .get_result::<TenantRow>(connection)
        .optional()?;
    row.ok_or_else(name_taken)?.into_tenant()
}

pub(crate) fn suspend_tenant(
    connection: &mut DbConnection,
    id: TenantId,
    suspended: bool,
) -> Result<Option<Tenant>, Error> {
    // `deleted_at` takes precedence over this column, so a tenant being deleted stays so.
    let status = if suspended { TenantStatus::Suspended } else { TenantStatus::Active };
    let row = diesel::update(tenants::table.filter(tenants::id.eq(id.0)))
        .set(tenants::status.eq(status.as_str()))
        .returning(tenant_columns())
        .get_result::<TenantRow>(connection)
        .optional()?;
    row.map(TenantRow::into_tenant).transpose()
}

pub(crate) fn set_limits(
    connection: &mut DbConnection,
    id: TenantId,
    changes: &[LimitChange],
) -> Result<Option<LimitOverrides>, Error> {
    let exists =
        tenants::table.filter(tenants::id.eq(id.0)).select(tenants::id).first::<i64>(connection);
    if exists.optional()?.is_none() {
        return Ok(None);
    }
    for LimitChange { name, value } in changes {
        let name = name.as_str();
        // The database has no unsigned integers; the ranges of all limits end far below.
        let Some(value) = value.map(|value| i64::try_from(value).unwrap_or(i64::MAX)) else {
            let gone = tenant_limits::table
                .filter(tenant_limits::tenant_id.eq(id.0))
                .filter(tenant_limits::name.eq(name));
            diesel::delete(gone).execute(connection)?;
            continue;
        };
        diesel::insert_into(tenant_limits::table)
            .values((
                tenant_limits::tenant_id.eq(id.0),
                tenant_limits::name.eq(name),
                tenant_limits::value.eq(value),
            ))
            // An upsert: admins may set the same limit concurrently.
            .on_conflict((tenant_limits::tenant_id, tenant_limits::name))
            .do_update()
            .set(tenant_limits::value.eq(value))
            .execute(connection)?;
    }
    limits_of(connection, id).map(Some)
}

pub(crate) fn workspaces(
    connection: &mut DbConnection,
    tenant_id: TenantId,
) -> Result<Vec<Workspace>, Error> {
    let rows = workspaces::table
        .filter(workspaces::tenant_id.eq(tenant_id.0))
        .order(workspaces::id)
        .select(workspace_columns())
        .load::<WorkspaceRow>(connection)?;
    rows.into_iter().map(|row| row.into_workspace(tenant_id)).collect()
}

pub(crate) fn create_workspace(
    connection: &mut DbConnection,
    tenant_id: TenantId,
    name: &Name,
    created_at: Timestamp,
) -> Result<Workspace, Error> {
    let exists = tenants::table
        .filter(tenants::id.eq(tenant_id.0))
        .select(tenants::id)
        .first::<i64>(connection);
    // Checked first: a violated foreign key would abort the transaction.
    exists.optional()?.ok_or_else(no_owner)?;
    let row = diesel::insert_into(workspaces::table)
        .values((
            workspaces::tenant_id.eq(tenant_id.0),
            workspaces::name.eq(name.as_str()),
            workspaces::name_key.eq(name.folded()),
            workspaces::created_at.eq(Micros::from(created_at)),
        ))
        // No row to return means a taken name, as for tenants.
        .on_conflict((workspaces::tenant_id, workspaces::name_key))
        .do_nothing()
        .returning(workspace_columns())
        .get_result::<WorkspaceRow>(connection)
        .optional()?;
    row.ok_or_else(name_taken)?.into_workspace(tenant_id)
}

pub(crate) fn api_keys(
    connection: &mut DbConnection,
    tenant_id: TenantId,
) -> Result<Vec<ApiKey>, Error> {
    let rows = api_keys::table
        .inner_join(tenants::table)
        .filter(api_keys::tenant_id.eq(tenant_id.0))
        // The id makes the order total for keys created together.
        .order((api_keys::created_at, api_keys::id))
        .select(key_columns())
        .load::<ApiKeyRow>(connection)?;
    let limits = limits_of(connection, tenant_id)?;
    rows.into_iter().map(|row| row.into_api_key(limits)).collect()
}

pub(crate) fn find_api_key(
    connection: &mut DbConnection,
    id: &ApiKeyId,
) -> Result<Option<ApiKey>, Error> {
    let row = api_keys::table
        .inner_join(tenants::table)
        .filter(api_keys::id.eq(id.as_str()))
        .select(key_columns())
        .first::<ApiKeyRow>(connection)
        .optional()?;
    let Some(row) = row else {
        return Ok(None);
    };
    let limits = limits_of(connection, row.tenant_id())?;
    row.into_api_key(limits).map(Some)
}

pub(crate) fn create_api_key(
    connection: &mut DbConnection,
    request: &KeyRequest,
) -> Result<ApiKey, Error> {
    let Owner { tenant_id, workspace_id } = request.owner;
    let exists = workspaces::table
        // The foreign keys alone would accept a workspace of another tenant.
        .filter(workspaces::tenant_id.eq(tenant_id.0).and(workspaces::id.eq(workspace_id.0)))
        .select(workspaces::id)
        .first::<i64>(connection);
    exists.optional()?.ok_or_else(no_owner)?;
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(request.id.as_str()),
            api_keys::tenant_id.eq(tenant_id.0),
            api_keys::workspace_id.eq(workspace_id.0),
            api_keys::name.eq(request.name.as_str()),
            api_keys::scopes.eq(request.scopes.to_string()),
            api_keys::secret_sha256.eq(request.secret_hash.as_bytes().as_slice()),
            api_keys::created_at.eq(Micros::from(request.created_at)),
            api_keys::expires_at.eq(request.expires_at.map(Micros::from)),
        ))
        .execute(connection)?;
    // Read back, because status and limits come from the tenant's rows.
    find_api_key(connection, &request.id)?.ok_or_else(no_owner)
}

/// Sets the expiry unless the key expires earlier.
pub(crate) fn expire_api_key(
    connection: &mut DbConnection,
    id: &ApiKeyId,
    expires_at: Timestamp,
) -> Result<Option<ApiKey>, Error> {
    let expires_at = Micros::from(expires_at);
    // In the statement, so that two admins cannot extend each other's expiry.
    let expires_later = api_keys::expires_at.is_null().or(api_keys::expires_at.gt(expires_at));
    diesel::update(api_keys::table.filter(api_keys::id.eq(id.as_str())).filter(expires_later))
        .set(api_keys::expires_at.eq(expires_at))
        .execute(connection)?;
    find_api_key(connection, id)
}

/// Revokes the key unless it is revoked.
pub(crate) fn revoke_api_key(
    connection: &mut DbConnection,
    id: &ApiKeyId,
    revoked_at: Timestamp,
) -> Result<Option<ApiKey>, Error> {
    diesel::update(api_keys::table)
        // The first revocation time is kept as evidence.
        .filter(api_keys::id.eq(id.as_str()).and(api_keys::revoked_at.is_null()))
        .set(api_keys::revoked_at.eq(Micros::from(revoked_at)))
        .execute(connection)?;
    find_api_key(connection, id)
}

pub(crate) fn note_key_uses(connection: &mut DbConnection, uses: &[KeyUse]) -> Result<(), Error> {
    // Two servers that lock the rows in the same order cannot deadlock.
    let mut uses: Vec<_> = uses.iter().collect();
    uses.sort_unstable();
    for KeyUse { key_id, used_at } in uses {
        let used_at = Micros::from(*used_at);
        // Servers report uses in any order.
        let is_later = api_keys::last_used_at.is_null().or(api_keys::last_used_at.lt(used_at));
        diesel::update(api_keys::table.filter(api_keys::id.eq(key_id.as_str())).filter(is_later))
            .set(api_keys::last_used_at.eq(used_at))
            .execute(connection)?;
    }
    Ok(())
}

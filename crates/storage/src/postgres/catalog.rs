//! Tenants, workspaces, API keys and limits in PostgreSQL.

use diesel::prelude::*;
use mercurio_domain::api_key::ApiKey;
use mercurio_domain::limits::{LimitName, LimitOverrides};
use mercurio_domain::store::{KeyRequest, Provisioned, Provisioning, Submission, TenantRef};
use mercurio_domain::tenant::{Name, Tenant, TenantStatus, Workspace};
use mercurio_domain::{ApiKeyId, Owner, TenantId, Timestamp};

use super::events;
use super::schema::{api_keys, tenant_limits, tenants, workspaces};
use crate::error::{Failure, Fault};
use crate::rows::{self, ApiKeyRow, Micros, TenantRow, WorkspaceRow};
use crate::verdicts::Candidates;

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

fn taken() -> Failure {
    Failure::Sorted(Fault::NameTaken, "the name is taken".to_owned())
}

fn no_owner() -> Failure {
    Failure::Sorted(Fault::NoOwner, "there is no such tenant or workspace".to_owned())
}

/// Makes a tenant with one workspace and one key, and stores its samples.
///
/// # Errors
/// [`Fault::NameTaken`]: the name's unique constraint decides. Where another transaction is making a tenant of that name, this
/// waits for its end.
pub(super) fn provision(
    connection: &mut PgConnection,
    request: &Provisioning,
) -> Result<Provisioned, Failure> {
    let tenant = create_tenant(connection, &request.tenant, request.created_at)?;
    let workspace =
        create_workspace(connection, tenant.id, &request.workspace, request.created_at)?;
    let owner = Owner { tenant_id: tenant.id, workspace_id: workspace.id };
    create_api_key(connection, &request.key(owner))?;
    let samples =
        [Submission { owner, received_at: request.created_at, events: request.samples.clone() }];
    let stored = events::append(connection, &Candidates::of(&samples), events::Way::Claim)?;
    Ok(Provisioned::new(owner, request, stored.len()))
}

pub(super) fn has_tenants(connection: &mut PgConnection) -> Result<bool, Failure> {
    Ok(diesel::select(diesel::dsl::exists(tenants::table.select(tenants::id)))
        .get_result(connection)?)
}

pub(super) fn tenants(
    connection: &mut PgConnection,
    after: Option<TenantId>,
    limit: usize,
) -> Result<Vec<Tenant>, Failure> {
    let rows = tenants::table
        .filter(tenants::id.gt(after.map_or(i64::MIN, |id| id.0)))
        .order(tenants::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(tenant_columns())
        .load::<TenantRow>(connection)?;
    rows.into_iter().map(TenantRow::into_tenant).collect()
}

pub(super) fn tenant(
    connection: &mut PgConnection,
    which: &TenantRef,
) -> Result<Option<(Tenant, LimitOverrides)>, Failure> {
    let query = tenants::table.select(tenant_columns()).into_boxed();
    let query = match which {
        TenantRef::Name(name) => query.filter(tenants::name_key.eq(name.folded())),
        TenantRef::Id(id) => query.filter(tenants::id.eq(id.0)),
    };
    let Some(row) = query.first::<TenantRow>(connection).optional()? else {
        return Ok(None);
    };
    let tenant = row.into_tenant()?;
    let limits = limits_of(connection, tenant.id)?;
    Ok(Some((tenant, limits)))
}

fn limits_of(connection: &mut PgConnection, id: TenantId) -> Result<LimitOverrides, Failure> {
    let rows = tenant_limits::table
        .filter(tenant_limits::tenant_id.eq(id.0))
        .select((tenant_limits::name, tenant_limits::value))
        .load::<(String, i64)>(connection)?;
    Ok(rows::limits(&rows))
}

/// Makes a tenant.
///
/// # Errors
/// [`Fault::NameTaken`].
pub(super) fn create_tenant(
    connection: &mut PgConnection,
    name: &Name,
    created_at: Timestamp,
) -> Result<Tenant, Failure> {
    let row = diesel::insert_into(tenants::table)
        .values((
            tenants::name.eq(name.as_str()),
            tenants::name_key.eq(name.folded()),
            tenants::status.eq(TenantStatus::Active.as_str()),
            tenants::created_at.eq(Micros::from(created_at)),
        ))
        .on_conflict(tenants::name_key)
        .do_nothing()
        .returning(tenant_columns())
        .get_result::<TenantRow>(connection)
        .optional()?;
    row.ok_or_else(taken)?.into_tenant()
}

pub(super) fn suspend_tenant(
    connection: &mut PgConnection,
    id: TenantId,
    suspended: bool,
) -> Result<Option<Tenant>, Failure> {
    let status = if suspended { TenantStatus::Suspended } else { TenantStatus::Active };
    let row = diesel::update(tenants::table.filter(tenants::id.eq(id.0)))
        .set(tenants::status.eq(status.as_str()))
        .returning(tenant_columns())
        .get_result::<TenantRow>(connection)
        .optional()?;
    row.map(TenantRow::into_tenant).transpose()
}

pub(super) fn set_limits(
    connection: &mut PgConnection,
    id: TenantId,
    changes: &[(LimitName, Option<u64>)],
) -> Result<Option<LimitOverrides>, Failure> {
    let exists =
        tenants::table.filter(tenants::id.eq(id.0)).select(tenants::id).first::<i64>(connection);
    if exists.optional()?.is_none() {
        return Ok(None);
    }
    for (name, value) in changes {
        let name = name.as_str();
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
            .on_conflict((tenant_limits::tenant_id, tenant_limits::name))
            .do_update()
            .set(tenant_limits::value.eq(value))
            .execute(connection)?;
    }
    limits_of(connection, id).map(Some)
}

pub(super) fn workspaces(
    connection: &mut PgConnection,
    tenant_id: TenantId,
) -> Result<Vec<Workspace>, Failure> {
    let rows = workspaces::table
        .filter(workspaces::tenant_id.eq(tenant_id.0))
        .order(workspaces::id)
        .select(workspace_columns())
        .load::<WorkspaceRow>(connection)?;
    rows.into_iter().map(|row| row.into_workspace(tenant_id)).collect()
}

/// Makes a workspace.
///
/// # Errors
/// [`Fault::NameTaken`], [`Fault::NoOwner`].
pub(super) fn create_workspace(
    connection: &mut PgConnection,
    tenant_id: TenantId,
    name: &Name,
    created_at: Timestamp,
) -> Result<Workspace, Failure> {
    let exists = tenants::table
        .filter(tenants::id.eq(tenant_id.0))
        .select(tenants::id)
        .first::<i64>(connection);
    exists.optional()?.ok_or_else(no_owner)?;
    let row = diesel::insert_into(workspaces::table)
        .values((
            workspaces::tenant_id.eq(tenant_id.0),
            workspaces::name.eq(name.as_str()),
            workspaces::name_key.eq(name.folded()),
            workspaces::created_at.eq(Micros::from(created_at)),
        ))
        .on_conflict((workspaces::tenant_id, workspaces::name_key))
        .do_nothing()
        .returning(workspace_columns())
        .get_result::<WorkspaceRow>(connection)
        .optional()?;
    row.ok_or_else(taken)?.into_workspace(tenant_id)
}

pub(super) fn api_keys(
    connection: &mut PgConnection,
    tenant_id: TenantId,
) -> Result<Vec<ApiKey>, Failure> {
    let rows = api_keys::table
        .inner_join(tenants::table)
        .filter(api_keys::tenant_id.eq(tenant_id.0))
        .order((api_keys::created_at, api_keys::id))
        .select(key_columns())
        .load::<ApiKeyRow>(connection)?;
    let limits = limits_of(connection, tenant_id)?;
    rows.into_iter().map(|row| row.into_api_key(limits)).collect()
}

pub(super) fn find_api_key(
    connection: &mut PgConnection,
    id: &ApiKeyId,
) -> Result<Option<ApiKey>, Failure> {
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

/// Makes a key.
///
/// # Errors
/// [`Fault::NoOwner`].
pub(super) fn create_api_key(
    connection: &mut PgConnection,
    request: &KeyRequest,
) -> Result<ApiKey, Failure> {
    let Owner { tenant_id, workspace_id } = request.owner;
    let exists = workspaces::table
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
    find_api_key(connection, &request.id)?.ok_or_else(no_owner)
}

/// Lets a key end at `expires_at` unless it ends before, and returns it as it then is.
pub(super) fn expire_api_key(
    connection: &mut PgConnection,
    id: &ApiKeyId,
    expires_at: Timestamp,
) -> Result<Option<ApiKey>, Failure> {
    let expires_at = Micros::from(expires_at);
    let lives_longer = api_keys::expires_at.is_null().or(api_keys::expires_at.gt(expires_at));
    diesel::update(api_keys::table.filter(api_keys::id.eq(id.as_str())).filter(lives_longer))
        .set(api_keys::expires_at.eq(expires_at))
        .execute(connection)?;
    find_api_key(connection, id)
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

/// Notes uses of keys, in the order of their ids, so that two servers that note the same ones wait for each other and never
/// in a circle.
pub(super) fn note_key_uses(
    connection: &mut PgConnection,
    uses: &[(ApiKeyId, Timestamp)],
) -> Result<(), Failure> {
    let mut uses: Vec<_> = uses.iter().collect();
    uses.sort_unstable();
    for (id, used_at) in uses {
        let used_at = Micros::from(*used_at);
        let is_news = api_keys::last_used_at.is_null().or(api_keys::last_used_at.lt(used_at));
        diesel::update(api_keys::table.filter(api_keys::id.eq(id.as_str())).filter(is_news))
            .set(api_keys::last_used_at.eq(used_at))
            .execute(connection)?;
    }
    Ok(())
}

//! Tenants, workspaces and limits.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use mercurio_domain::limits::{LimitChange, LimitOverrides};
use mercurio_domain::store::{TenantDetails, TenantRef};
use mercurio_domain::tenant::{Name, Tenant, TenantStatus, Workspace};
use mercurio_domain::{Owner, TenantId, Timestamp};

use super::DbConnection;
use super::schema::{tenant_limits, tenants, workspaces};
use crate::error::{Error, ErrorKind};
use crate::rows::{self, LimitRow, Micros, TenantRow, WorkspaceRow};

type TenantColumns =
    (tenants::id, tenants::name, tenants::status, tenants::created_at, tenants::deleted_at);

fn tenant_columns() -> TenantColumns {
    (tenants::id, tenants::name, tenants::status, tenants::created_at, tenants::deleted_at)
}

type WorkspaceColumns =
    (workspaces::id, workspaces::name, workspaces::created_at, workspaces::deleted_at);

fn workspace_columns() -> WorkspaceColumns {
    (workspaces::id, workspaces::name, workspaces::created_at, workspaces::deleted_at)
}

fn name_taken() -> Error {
    Error::new(ErrorKind::NameTaken, "the name is taken")
}

pub(crate) fn no_owner() -> Error {
    Error::new(ErrorKind::NoOwner, "there is no such tenant or workspace")
}

/// The error of a renaming. Its unique name may be taken until the statement runs.
fn not_renamed(error: DieselError) -> Error {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => name_taken(),
        other => other.into(),
    }
}

/// A tenant or workspace after its renaming, and its earlier name.
pub(crate) struct Renamed<T> {
    pub(crate) before: Name,
    pub(crate) after: T,
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

pub(crate) fn limits_of(
    connection: &mut DbConnection,
    id: TenantId,
) -> Result<LimitOverrides, Error> {
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

pub(crate) fn rename_tenant(
    connection: &mut DbConnection,
    id: TenantId,
    name: &Name,
) -> Result<Renamed<Tenant>, Error> {
    let tenant = tenants::table.filter(tenants::id.eq(id.0));
    let before = tenant.select(tenants::name).first::<String>(connection).optional()?;
    let row = diesel::update(tenant)
        .set((tenants::name.eq(name.as_str()), tenants::name_key.eq(name.folded())))
        .returning(tenant_columns())
        .get_result::<TenantRow>(connection)
        .optional()
        .map_err(not_renamed)?;
    match (before, row) {
        (Some(before), Some(row)) => {
            Ok(Renamed { before: Name::from_store(before), after: row.into_tenant()? })
        }
        _ => Err(no_owner()),
    }
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

/// Finds a workspace of this tenant, also one being deleted.
pub(crate) fn workspace(
    connection: &mut DbConnection,
    owner: Owner,
) -> Result<Option<Workspace>, Error> {
    let row = workspaces::table
        .filter(workspaces::tenant_id.eq(owner.tenant_id.0))
        .filter(workspaces::id.eq(owner.workspace_id.0))
        .select(workspace_columns())
        .first::<WorkspaceRow>(connection)
        .optional()?;
    row.map(|row| row.into_workspace(owner.tenant_id)).transpose()
}

pub(crate) fn rename_workspace(
    connection: &mut DbConnection,
    owner: Owner,
    name: &Name,
) -> Result<Renamed<Workspace>, Error> {
    let before = workspace(connection, owner)?.ok_or_else(no_owner)?.name;
    let row = diesel::update(workspaces::table.filter(workspaces::id.eq(owner.workspace_id.0)))
        .set((workspaces::name.eq(name.as_str()), workspaces::name_key.eq(name.folded())))
        .returning(workspace_columns())
        .get_result::<WorkspaceRow>(connection)
        .optional()
        .map_err(not_renamed)?;
    let after = row.ok_or_else(no_owner)?.into_workspace(owner.tenant_id)?;
    Ok(Renamed { before, after })
}

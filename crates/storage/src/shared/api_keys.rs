//! API keys.

use std::collections::BTreeMap;

use diesel::prelude::*;
use mercurio_domain::api_key::{ApiKey, KeyUse, Origins};
use mercurio_domain::limits::LimitOverrides;
use mercurio_domain::store::{KeyDetails, KeyRequest, KeySelection};
use mercurio_domain::{ApiKeyId, Owner, TenantId, Timestamp};

use super::schema::{api_keys, tenant_limits, tenants, workspaces};
use super::{DbConnection, catalog};
use crate::error::Error;
use crate::rows::{self, ApiKeyRow, KeyDetailsRow, LimitRow, Micros, TenantLimitRow};

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
    api_keys::origins,
    workspaces::deleted_at,
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
        origins,
        workspaces::deleted_at,
        tenants::status,
        tenants::deleted_at,
    )
}

pub(crate) fn api_keys(
    connection: &mut DbConnection,
    which: &KeySelection,
) -> Result<Vec<KeyDetails>, Error> {
    let query = api_keys::table
        .inner_join(tenants::table)
        .inner_join(workspaces::table)
        // The id makes the order total for keys created together.
        .order((api_keys::tenant_id, api_keys::created_at, api_keys::id))
        .select((key_columns(), tenants::name, workspaces::name))
        .into_boxed();
    let query = match which {
        KeySelection::All => query,
        KeySelection::Tenant(id) => query.filter(api_keys::tenant_id.eq(id.0)),
        KeySelection::Key(id) => query.filter(api_keys::id.eq(id.as_str())),
    };
    let rows = query.load::<KeyDetailsRow>(connection)?;
    let tenant = rows.first().map(KeyDetailsRow::tenant_id);
    // A selection but `All` has keys of one tenant at most.
    let limits = limits_by_tenant(connection, tenant.filter(|_| *which != KeySelection::All))?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let limits = limits.get(&row.tenant_id()).copied().unwrap_or_default();
        keys.push(row.into_details(limits)?);
    }
    Ok(keys)
}

/// The limits of the tenants that have some, or those of one.
fn limits_by_tenant(
    connection: &mut DbConnection,
    only: Option<TenantId>,
) -> Result<BTreeMap<TenantId, LimitOverrides>, Error> {
    let mut query = tenant_limits::table
        .select((tenant_limits::tenant_id, (tenant_limits::name, tenant_limits::value)))
        .into_boxed();
    if let Some(id) = only {
        query = query.filter(tenant_limits::tenant_id.eq(id.0));
    }
    let mut by_tenant: BTreeMap<TenantId, Vec<LimitRow>> = BTreeMap::new();
    for TenantLimitRow { tenant_id, limit } in query.load::<TenantLimitRow>(connection)? {
        by_tenant.entry(TenantId(tenant_id)).or_default().push(limit);
    }
    Ok(by_tenant.into_iter().map(|(id, rows)| (id, rows::limits(&rows))).collect())
}

pub(crate) fn find_api_key(
    connection: &mut DbConnection,
    id: &ApiKeyId,
) -> Result<Option<ApiKey>, Error> {
    let row = api_keys::table
        .inner_join(tenants::table)
        .inner_join(workspaces::table)
        .filter(api_keys::id.eq(id.as_str()))
        .select(key_columns())
        .first::<ApiKeyRow>(connection)
        .optional()?;
    let Some(row) = row else {
        return Ok(None);
    };
    let limits = catalog::limits_of(connection, row.tenant_id())?;
    row.into_api_key(limits).map(Some)
}

pub(crate) fn create_api_key(
    connection: &mut DbConnection,
    request: &KeyRequest,
) -> Result<ApiKey, Error> {
    let Owner { tenant_id, workspace_id } = request.owner;
    // Checked first: a violated foreign key would abort the transaction.
    let workspace = catalog::workspace(connection, request.owner)?;
    workspace.filter(|workspace| !workspace.is_deleting).ok_or_else(catalog::no_owner)?;
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
            api_keys::origins.eq(request.origins.as_ref().map(Origins::as_str)),
        ))
        .execute(connection)?;
    // Read back, because status and limits come from the tenant's rows.
    find_api_key(connection, &request.id)?.ok_or_else(catalog::no_owner)
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

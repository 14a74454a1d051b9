//! `Catalog`, `EventCounts` and `Housekeeping` for the backend's store: which statement each method
//! runs, and on which connections.

use mercurio_domain::api_key::{ApiKey, KeyUse};
use mercurio_domain::limits::{LimitChange, LimitOverrides, Month};
use mercurio_domain::store::{
    Catalog, CatalogListener, CountQuery, CreateError, EventCount, EventCounts, Housekeeping,
    KeyRequest, Lease, LeaseKind, Provisioned, Provisioning, Removal, RemovalCursor, Removed,
    StoreError, TenantDetails, TenantRef, TenantRows,
};
use mercurio_domain::tenant::{Name, Tenant, Workspace};
use mercurio_domain::{ApiKeyId, Owner, TenantId, Timestamp};

use super::{DbStore, catalog, counts, deletion, removal};

impl Catalog for DbStore {
    fn provision(&self, request: &Provisioning) -> Result<Provisioned, CreateError> {
        Ok(self.provision_tenant(request)?)
    }

    fn has_tenants(&self) -> Result<bool, StoreError> {
        Ok(self.read(catalog::has_tenants)?)
    }

    fn tenants(&self, after: Option<TenantId>, limit: usize) -> Result<Vec<Tenant>, StoreError> {
        Ok(self.read(|connection| catalog::tenants(connection, after, limit))?)
    }

    fn tenant(&self, which: &TenantRef) -> Result<Option<TenantDetails>, StoreError> {
        Ok(self.read(|connection| catalog::tenant(connection, which))?)
    }

    fn create_tenant(&self, name: &Name, created_at: Timestamp) -> Result<Tenant, CreateError> {
        Ok(self.write(|connection| catalog::create_tenant(connection, name, created_at))?)
    }

    fn suspend_tenant(&self, id: TenantId, suspended: bool) -> Result<Option<Tenant>, StoreError> {
        Ok(self.write(|connection| catalog::suspend_tenant(connection, id, suspended))?)
    }

    fn set_limits(
        &self,
        id: TenantId,
        changes: &[LimitChange],
    ) -> Result<Option<LimitOverrides>, StoreError> {
        Ok(self.write(|connection| catalog::set_limits(connection, id, changes))?)
    }

    fn workspaces(&self, tenant_id: TenantId) -> Result<Vec<Workspace>, StoreError> {
        Ok(self.read(|connection| catalog::workspaces(connection, tenant_id))?)
    }

    fn create_workspace(
        &self,
        tenant_id: TenantId,
        name: &Name,
        created_at: Timestamp,
    ) -> Result<Workspace, CreateError> {
        Ok(self.write(|connection| {
            catalog::create_workspace(connection, tenant_id, name, created_at)
        })?)
    }

    fn api_keys(&self, tenant_id: TenantId) -> Result<Vec<ApiKey>, StoreError> {
        Ok(self.read(|connection| catalog::api_keys(connection, tenant_id))?)
    }

    fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.read(|connection| catalog::find_api_key(connection, id))?)
    }

    fn create_api_key(&self, request: &KeyRequest) -> Result<ApiKey, CreateError> {
        Ok(self.write(|connection| catalog::create_api_key(connection, request))?)
    }

    fn expire_api_key(
        &self,
        id: &ApiKeyId,
        expires_at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.write(|connection| catalog::expire_api_key(connection, id, expires_at))?)
    }

    fn revoke_api_key(
        &self,
        id: &ApiKeyId,
        revoked_at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.write(|connection| catalog::revoke_api_key(connection, id, revoked_at))?)
    }

    fn note_key_uses(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        Ok(self.write(|connection| catalog::note_key_uses(connection, uses))?)
    }

    fn listen(&self) -> Result<Box<dyn CatalogListener>, StoreError> {
        Ok(Box::new(self.open_listener()?))
    }
}

impl EventCounts for DbStore {
    fn usage(&self, tenants: &[TenantId], month: Month) -> Result<Vec<u64>, StoreError> {
        Ok(self.read(|connection| counts::usage(connection, tenants, month))?)
    }

    fn event_counts(&self, query: &CountQuery) -> Result<Vec<EventCount>, StoreError> {
        Ok(self.read(|connection| counts::event_counts(connection, query))?)
    }

    fn sum_counts(&self) -> Result<u64, StoreError> {
        let mut summed = 0;
        loop {
            // Each part is a transaction: readers see every group in the log or in the tables.
            let groups = self.write(counts::sum)?;
            summed += groups;
            if !counts::is_partial(groups) {
                return Ok(summed);
            }
        }
    }
}

impl Housekeeping for DbStore {
    fn lease(&self, kind: LeaseKind) -> Result<Option<Box<dyn Lease>>, StoreError> {
        self.try_lease(kind)
    }

    fn count_events(&self, owner: Owner) -> Result<u64, StoreError> {
        Ok(self.read(|connection| removal::count_events(connection, owner))?)
    }

    fn begin_deletion(
        &self,
        tenant_id: TenantId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.write(|connection| deletion::begin_deletion(connection, tenant_id, now))?)
    }

    fn remove_events(
        &self,
        which: &Removal,
        removed_at: Timestamp,
        from: Option<&RemovalCursor>,
    ) -> Result<Removed, StoreError> {
        Ok(self.write(|connection| {
            let removed = removal::remove_events(connection, which, removed_at, from)?;
            // In the step's transaction, so that an interrupted deletion still reports exact
            // totals.
            if let Removal::Tenant(tenant_id) = which {
                deletion::count_removed(connection, *tenant_id, &removed)?;
            }
            Ok(removed)
        })?)
    }

    fn finish_deletion(&self, tenant_id: TenantId) -> Result<Option<TenantRows>, StoreError> {
        Ok(self.write(|connection| deletion::finish_deletion(connection, tenant_id))?)
    }
}

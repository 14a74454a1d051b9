//! The port of the catalogue over a database's own statements: which of them read, which change, and what their faults mean.
//!
//! The port of housekeeping goes the same way, with the modules `removal` beside `catalog`.
//!
//! Written once for both databases. A store brings `reading` and `changing`, which run a body on a connection; the statements
//! are its module `catalog`.

/// Implements [`mercurio_domain::store::Catalog`] for a store beside a module `catalog`.
macro_rules! catalog_port {
    ($store:ty) => {
        impl ::mercurio_domain::store::Catalog for $store {
            fn provision(&self, request: &Provisioning) -> Result<Provisioned, CreateError> {
                Ok(self.provisioning(request)?)
            }

            fn has_tenants(&self) -> Result<bool, StoreError> {
                Ok(self.reading(catalog::has_tenants)?)
            }

            fn tenants(
                &self,
                after: Option<TenantId>,
                limit: usize,
            ) -> Result<Vec<Tenant>, StoreError> {
                Ok(self.reading(|connection| catalog::tenants(connection, after, limit))?)
            }

            fn tenant(
                &self,
                which: &TenantRef,
            ) -> Result<Option<(Tenant, LimitOverrides)>, StoreError> {
                Ok(self.reading(|connection| catalog::tenant(connection, which))?)
            }

            fn create_tenant(
                &self,
                name: &Name,
                created_at: Timestamp,
            ) -> Result<Tenant, CreateError> {
                Ok(self
                    .changing(|connection| catalog::create_tenant(connection, name, created_at))?)
            }

            fn suspend_tenant(
                &self,
                id: TenantId,
                suspended: bool,
            ) -> Result<Option<Tenant>, StoreError> {
                Ok(self.changing(|connection| catalog::suspend_tenant(connection, id, suspended))?)
            }

            fn set_limits(
                &self,
                id: TenantId,
                changes: &[(LimitName, Option<u64>)],
            ) -> Result<Option<LimitOverrides>, StoreError> {
                Ok(self.changing(|connection| catalog::set_limits(connection, id, changes))?)
            }

            fn monthly_usage(&self, tenant_id: TenantId, month: Month) -> Result<u64, StoreError> {
                Ok(self.reading(|connection| quota::used_in(connection, tenant_id, month))?)
            }

            fn workspaces(&self, tenant_id: TenantId) -> Result<Vec<Workspace>, StoreError> {
                Ok(self.reading(|connection| catalog::workspaces(connection, tenant_id))?)
            }

            fn create_workspace(
                &self,
                tenant_id: TenantId,
                name: &Name,
                created_at: Timestamp,
            ) -> Result<Workspace, CreateError> {
                Ok(self.changing(|connection| {
                    catalog::create_workspace(connection, tenant_id, name, created_at)
                })?)
            }

            fn api_keys(&self, tenant_id: TenantId) -> Result<Vec<ApiKey>, StoreError> {
                Ok(self.reading(|connection| catalog::api_keys(connection, tenant_id))?)
            }

            fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
                Ok(self.reading(|connection| catalog::find_api_key(connection, id))?)
            }

            fn create_api_key(&self, request: &KeyRequest) -> Result<ApiKey, CreateError> {
                Ok(self.changing(|connection| catalog::create_api_key(connection, request))?)
            }

            fn expire_api_key(
                &self,
                id: &ApiKeyId,
                expires_at: Timestamp,
            ) -> Result<Option<ApiKey>, StoreError> {
                Ok(self
                    .changing(|connection| catalog::expire_api_key(connection, id, expires_at))?)
            }

            fn revoke_api_key(
                &self,
                id: &ApiKeyId,
                revoked_at: Timestamp,
            ) -> Result<Option<ApiKey>, StoreError> {
                Ok(self
                    .changing(|connection| catalog::revoke_api_key(connection, id, revoked_at))?)
            }

            fn note_key_uses(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<(), StoreError> {
                Ok(self.changing(|connection| catalog::note_key_uses(connection, uses))?)
            }

            fn watch(&self) -> Result<Box<dyn CatalogWatch>, StoreError> {
                Ok(Box::new(self.watching()?))
            }
        }

        impl ::mercurio_domain::store::Housekeeping for $store {
            fn lease(
                &self,
            ) -> Result<Option<Box<dyn ::mercurio_domain::store::Lease>>, StoreError> {
                self.leasing()
            }

            fn count_events(&self, owner: Owner) -> Result<u64, StoreError> {
                Ok(self.reading(|connection| removal::count_events(connection, owner))?)
            }

            fn begin_deletion(
                &self,
                tenant_id: TenantId,
                now: Timestamp,
            ) -> Result<Option<Timestamp>, StoreError> {
                Ok(self
                    .changing(|connection| removal::begin_deletion(connection, tenant_id, now))?)
            }

            fn remove_events(
                &self,
                which: &Removal,
                removed_at: Timestamp,
                from: Option<&Place>,
            ) -> Result<Removed, StoreError> {
                Ok(self.changing(|connection| {
                    let removed = removal::remove_events(connection, which, removed_at, from)?;
                    if let Removal::Tenant(tenant_id) = which {
                        removal::count_deleted(connection, *tenant_id, &removed)?;
                    }
                    Ok(removed)
                })?)
            }

            fn finish_deletion(
                &self,
                tenant_id: TenantId,
            ) -> Result<Option<TenantRows>, StoreError> {
                Ok(self.changing(|connection| removal::finish_deletion(connection, tenant_id))?)
            }
        }
    };
}

pub(crate) use catalog_port;

//! `Catalog`, `EventCounts`, `Housekeeping` and `AuditLog` for the backend's store: which statement
//! each method runs, and on which connections. Changes of the catalog add their audit entry in their
//! own transaction.

use mercurio_domain::api_key::{ApiKey, KeyUse};
use mercurio_domain::limits::{LimitChange, LimitOverrides, Month};
use mercurio_domain::store::{
    AuditEntry, AuditLog, AuditRecord, Catalog, CatalogListener, CountQuery, CreateError,
    DeletedRows, Deletion, EventCount, EventCounts, Housekeeping, KeyDetails, KeyRequest,
    KeySelection, Lease, LeaseKind, Provisioned, Provisioning, Removal, RemovalCounts,
    RemovalCursor, Removed, StoreError, TenantDetails, TenantRef,
};
use mercurio_domain::tenant::{Name, Tenant, Workspace};
use mercurio_domain::{ApiKeyId, Owner, TenantId, Timestamp};

use super::rejections::{self, RejectionPosition};
use super::{DbConnection, DbStore, api_keys, audit, catalog, counts, deletion, removal};
use crate::error::Error;

impl DbStore {
    /// Runs a change, and records it in its transaction. `entry` is `None` if nothing was changed.
    fn write_audited<T>(
        &self,
        mut change: impl FnMut(&mut DbConnection) -> Result<T, Error>,
        entry: impl Fn(&T) -> Option<AuditEntry>,
    ) -> Result<T, Error> {
        self.write(|connection| {
            let changed = change(connection)?;
            if let Some(entry) = entry(&changed) {
                audit::record(connection, self.actor.as_ref(), &entry)?;
            }
            Ok(changed)
        })
    }
}

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
        Ok(self.write_audited(
            |connection| catalog::create_tenant(connection, name, created_at),
            |tenant| Some(AuditEntry::tenant_created(tenant)),
        )?)
    }

    fn rename_tenant(&self, id: TenantId, name: &Name) -> Result<Tenant, CreateError> {
        let renamed = self.write_audited(
            |connection| catalog::rename_tenant(connection, id, name),
            |renamed| Some(AuditEntry::tenant_renamed(&renamed.before, &renamed.after)),
        )?;
        Ok(renamed.after)
    }

    fn suspend_tenant(&self, id: TenantId, suspended: bool) -> Result<Option<Tenant>, StoreError> {
        Ok(self.write_audited(
            |connection| catalog::suspend_tenant(connection, id, suspended),
            |tenant| tenant.as_ref().map(AuditEntry::tenant_status),
        )?)
    }

    fn set_limits(
        &self,
        id: TenantId,
        changes: &[LimitChange],
    ) -> Result<Option<LimitOverrides>, StoreError> {
        Ok(self.write_audited(
            |connection| catalog::set_limits(connection, id, changes),
            |limits| limits.as_ref().map(|_| AuditEntry::limits_set(id, changes)),
        )?)
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
        Ok(self.write_audited(
            |connection| catalog::create_workspace(connection, tenant_id, name, created_at),
            |workspace| Some(AuditEntry::workspace_created(workspace)),
        )?)
    }

    fn rename_workspace(&self, owner: Owner, name: &Name) -> Result<Workspace, CreateError> {
        let renamed = self.write_audited(
            |connection| catalog::rename_workspace(connection, owner, name),
            |renamed| Some(AuditEntry::workspace_renamed(&renamed.before, &renamed.after)),
        )?;
        Ok(renamed.after)
    }

    fn api_keys(&self, which: &KeySelection) -> Result<Vec<KeyDetails>, StoreError> {
        Ok(self.read(|connection| api_keys::api_keys(connection, which))?)
    }

    fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.read(|connection| api_keys::find_api_key(connection, id))?)
    }

    fn create_api_key(&self, request: &KeyRequest) -> Result<ApiKey, CreateError> {
        Ok(self.write_audited(
            |connection| api_keys::create_api_key(connection, request),
            |key| Some(AuditEntry::key_created(key)),
        )?)
    }

    fn expire_api_key(
        &self,
        id: &ApiKeyId,
        expires_at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.write_audited(
            |connection| api_keys::expire_api_key(connection, id, expires_at),
            |key| key.as_ref().map(AuditEntry::key_expiry),
        )?)
    }

    fn revoke_api_key(
        &self,
        id: &ApiKeyId,
        revoked_at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.write_audited(
            |connection| api_keys::revoke_api_key(connection, id, revoked_at),
            |key| key.as_ref().map(AuditEntry::key_revoked),
        )?)
    }

    fn note_key_uses(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        Ok(self.write(|connection| api_keys::note_key_uses(connection, uses))?)
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

    fn count_removal(&self, which: &Removal) -> Result<RemovalCounts, StoreError> {
        Ok(self.read(|connection| {
            let rejections = rejections::count_removal(connection, which)?;
            Ok(RemovalCounts { rejections, ..removal::count_removal(connection, which)? })
        })?)
    }

    fn begin_deletion(
        &self,
        deletion: Deletion,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.write(|connection| {
            let since = deletion::begin_deletion(connection, deletion, now)?;
            if let Some(entry) = deletion::entry_of_begun(connection, deletion)? {
                audit::record(connection, self.actor.as_ref(), &entry)?;
            }
            Ok(since)
        })?)
    }

    fn remove_events(
        &self,
        which: &Removal,
        removed_at: Timestamp,
        from: Option<&RemovalCursor>,
    ) -> Result<Removed, StoreError> {
        Ok(self.write(|connection| {
            let removed = match from.and_then(RejectionPosition::decode) {
                Some(position) => rejections::remove(connection, which, position)?,
                None => {
                    let step = removal::remove_events(connection, which, removed_at, from)?;
                    // Rejections follow the last event or key.
                    let next = step.next.or_else(|| RejectionPosition::start_of(which));
                    Removed { next, ..step }
                }
            };
            // In the step's transaction, so that an interrupted deletion still reports exact
            // totals.
            if let Removal::All(deletion) = which {
                deletion::count_removed(connection, *deletion, &removed)?;
            }
            Ok(removed)
        })?)
    }

    fn finish_deletion(&self, deletion: Deletion) -> Result<Option<DeletedRows>, StoreError> {
        Ok(self.write_audited(
            |connection| deletion::finish_deletion(connection, deletion),
            |rows| rows.as_ref().map(|rows| AuditEntry::deletion_done(deletion, rows)),
        )?)
    }
}

impl AuditLog for DbStore {
    fn record(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        Ok(self.write(|connection| audit::record(connection, self.actor.as_ref(), entry))?)
    }

    fn audit_log(
        &self,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        Ok(self.read(|connection| audit::audit_log(connection, since, limit))?)
    }
}

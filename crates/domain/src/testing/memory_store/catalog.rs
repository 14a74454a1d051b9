//! Tenants, workspaces, keys and limits in memory.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::{MemoryState, MemoryStore, Notification};
use crate::api_key::{ApiKey, KeyUse};
use crate::clock::Timestamp;
use crate::ids::{ApiKeyId, Owner, TenantId, WorkspaceId};
use crate::limits::{LimitChange, LimitOverrides};
use crate::store::{
    AuditEntry, Catalog, CatalogChange, CatalogListener, CreateError, Deletion, KeyDetails,
    KeyRequest, KeySelection, Provisioned, Provisioning, StoreError, Submission, TenantDetails,
    TenantRef,
};
use crate::tenant::{Name, Tenant, TenantStatus, Workspace};
use crate::verdict::Outcome;

impl MemoryState {
    pub(super) fn notify(&mut self, change: &CatalogChange) {
        self.send(&Notification::Change(change.clone()));
    }

    pub(super) fn send(&mut self, notification: &Notification) {
        self.listeners.retain(|listener| listener.send(notification.clone()).is_ok());
    }

    fn limits_of(&self, id: TenantId) -> LimitOverrides {
        self.limits.get(&id).copied().unwrap_or_default()
    }

    fn add_tenant(&mut self, name: &Name, created_at: Timestamp) -> Result<Tenant, CreateError> {
        if self.tenants.iter().any(|tenant| tenant.name.folded() == name.folded()) {
            return Err(CreateError::NameTaken);
        }
        self.last_tenant += 1;
        let id = TenantId(self.last_tenant);
        let tenant = Tenant { id, name: name.clone(), status: TenantStatus::Active, created_at };
        self.tenants.push(tenant.clone());
        Ok(tenant)
    }

    fn add_workspace(
        &mut self,
        tenant_id: TenantId,
        name: &Name,
        created_at: Timestamp,
    ) -> Result<Workspace, CreateError> {
        if !self.tenants.iter().any(|tenant| tenant.id == tenant_id) {
            return Err(CreateError::NoOwner);
        }
        let mut of_tenant = self.workspaces.iter().filter(|known| known.tenant_id == tenant_id);
        if of_tenant.any(|known| known.name.folded() == name.folded()) {
            return Err(CreateError::NameTaken);
        }
        self.last_workspace += 1;
        let id = WorkspaceId(self.last_workspace);
        let workspace =
            Workspace { id, tenant_id, name: name.clone(), created_at, is_deleting: false };
        self.workspaces.push(workspace.clone());
        Ok(workspace)
    }

    fn add_key(&mut self, request: &KeyRequest) -> Result<ApiKey, CreateError> {
        let Owner { tenant_id, workspace_id } = request.owner;
        // A workspace of another tenant is refused like a missing one.
        let exists = self.workspaces.iter().any(|known| {
            (known.tenant_id, known.id) == (tenant_id, workspace_id) && !known.is_deleting
        });
        let Some(tenant) = self.tenants.iter().find(|tenant| tenant.id == tenant_id && exists)
        else {
            return Err(CreateError::NoOwner);
        };
        let key = request.made(tenant.status, self.limits_of(tenant_id));
        self.keys.push(key.clone());
        self.notify(&CatalogChange::ApiKey(key.id.clone()));
        Ok(key)
    }

    /// The current state of a key.
    fn key(&self, id: &ApiKeyId) -> Option<ApiKey> {
        self.keys.iter().find(|key| key.id == *id).map(|key| self.with_tenant(key))
    }

    /// The key with the status and limits of its tenant, and the deletion of its workspace.
    fn with_tenant(&self, key: &ApiKey) -> ApiKey {
        let tenant_id = key.owner.tenant_id;
        let status =
            self.tenants.iter().find(|tenant| tenant.id == tenant_id).map(|tenant| tenant.status);
        let deleted_at = self.deleting.get(&Deletion::Workspace(key.owner)).copied();
        ApiKey {
            revoked_at: key.revoked_at.or(deleted_at),
            tenant_status: status.unwrap_or(key.tenant_status),
            tenant_limits: self.limits_of(tenant_id),
            ..key.clone()
        }
    }

    fn change_key(
        &mut self,
        id: &ApiKeyId,
        entry: fn(&ApiKey) -> AuditEntry,
        change: impl FnOnce(&mut ApiKey),
    ) -> Option<ApiKey> {
        change(self.keys.iter_mut().find(|key| key.id == *id)?);
        self.notify(&CatalogChange::ApiKey(id.clone()));
        let changed = self.key(id)?;
        self.audit(entry(&changed));
        Some(changed)
    }
}

fn is_selected(key: &ApiKey, which: &KeySelection) -> bool {
    match which {
        KeySelection::All => true,
        KeySelection::Tenant(id) => key.owner.tenant_id == *id,
        KeySelection::Key(id) => key.id == *id,
    }
}

impl Catalog for MemoryStore {
    fn provision(&self, request: &Provisioning) -> Result<Provisioned, CreateError> {
        let mut state = self.available()?;
        let tenant = state.add_tenant(&request.tenant, request.created_at)?;
        let workspace = state.add_workspace(tenant.id, &request.workspace, request.created_at)?;
        let owner = Owner { tenant_id: tenant.id, workspace_id: workspace.id };
        // Neither step can fail for a new tenant, so nothing needs to be undone.
        state.add_key(&request.key(owner))?;
        let samples =
            Submission { owner, received_at: request.created_at, events: request.samples.clone() };
        let stored =
            samples.events.iter().filter(|event| state.store(&samples, event) == Outcome::Accepted);
        let stored = stored.count();
        let made = Provisioned::new(owner, request, stored);
        state.audit(AuditEntry::provisioned(&made));
        Ok(made)
    }

    fn has_tenants(&self) -> Result<bool, StoreError> {
        self.available().map(|state| !state.tenants.is_empty())
    }

    fn tenants(&self, after: Option<TenantId>, limit: usize) -> Result<Vec<Tenant>, StoreError> {
        let state = self.available()?;
        Ok(state
            .tenants
            .iter()
            .filter(|tenant| Some(tenant.id) > after)
            .take(limit)
            .cloned()
            .collect())
    }

    fn tenant(&self, which: &TenantRef) -> Result<Option<TenantDetails>, StoreError> {
        let state = self.available()?;
        let found = state.tenants.iter().find(|tenant| match which {
            TenantRef::Name(name) => tenant.name.folded() == name.folded(),
            TenantRef::Id(id) => tenant.id == *id,
        });
        Ok(found.map(|tenant| TenantDetails {
            tenant: tenant.clone(),
            limits: state.limits_of(tenant.id),
        }))
    }

    fn create_tenant(&self, name: &Name, created_at: Timestamp) -> Result<Tenant, CreateError> {
        let mut state = self.available()?;
        let tenant = state.add_tenant(name, created_at)?;
        state.audit(AuditEntry::tenant_created(&tenant));
        Ok(tenant)
    }

    fn rename_tenant(&self, id: TenantId, name: &Name) -> Result<Tenant, CreateError> {
        let mut state = self.available()?;
        let mut others = state.tenants.iter().filter(|tenant| tenant.id != id);
        let is_taken = others.any(|tenant| tenant.name.folded() == name.folded());
        let found = state.tenants.iter_mut().find(|tenant| tenant.id == id);
        let tenant = found.ok_or(CreateError::NoOwner)?;
        if is_taken {
            return Err(CreateError::NameTaken);
        }
        let before = std::mem::replace(&mut tenant.name, name.clone());
        let renamed = tenant.clone();
        state.notify(&CatalogChange::Tenant(id));
        state.audit(AuditEntry::tenant_renamed(&before, &renamed));
        Ok(renamed)
    }

    fn suspend_tenant(&self, id: TenantId, suspended: bool) -> Result<Option<Tenant>, StoreError> {
        let mut state = self.available()?;
        let status = if suspended { TenantStatus::Suspended } else { TenantStatus::Active };
        let found = state.tenants.iter_mut().find(|tenant| tenant.id == id).map(|tenant| {
            // A deletion cannot be undone by resuming the tenant.
            if tenant.status != TenantStatus::Deleting {
                tenant.status = status;
            }
            tenant.clone()
        });
        state.notify(&CatalogChange::Tenant(id));
        if let Some(tenant) = &found {
            state.audit(AuditEntry::tenant_status(tenant));
        }
        Ok(found)
    }

    fn set_limits(
        &self,
        id: TenantId,
        changes: &[LimitChange],
    ) -> Result<Option<LimitOverrides>, StoreError> {
        let mut state = self.available()?;
        if !state.tenants.iter().any(|tenant| tenant.id == id) {
            return Ok(None);
        }
        let limits = state.limits.entry(id).or_default();
        for LimitChange { name, value } in changes {
            limits.set(*name, *value);
        }
        let limits = *limits;
        state.notify(&CatalogChange::Tenant(id));
        state.audit(AuditEntry::limits_set(id, changes));
        Ok(Some(limits))
    }

    fn workspaces(&self, tenant_id: TenantId) -> Result<Vec<Workspace>, StoreError> {
        let state = self.available()?;
        Ok(state
            .workspaces
            .iter()
            .filter(|workspace| workspace.tenant_id == tenant_id)
            .cloned()
            .collect())
    }

    fn create_workspace(
        &self,
        tenant_id: TenantId,
        name: &Name,
        created_at: Timestamp,
    ) -> Result<Workspace, CreateError> {
        let mut state = self.available()?;
        let workspace = state.add_workspace(tenant_id, name, created_at)?;
        state.audit(AuditEntry::workspace_created(&workspace));
        Ok(workspace)
    }

    fn rename_workspace(&self, owner: Owner, name: &Name) -> Result<Workspace, CreateError> {
        let mut state = self.available()?;
        let of_tenant =
            state.workspaces.iter_mut().filter(|known| known.tenant_id == owner.tenant_id);
        let (mut own, others): (Vec<_>, Vec<_>) =
            of_tenant.partition(|known| known.id == owner.workspace_id);
        let workspace = own.first_mut().ok_or(CreateError::NoOwner)?;
        if others.iter().any(|known| known.name.folded() == name.folded()) {
            return Err(CreateError::NameTaken);
        }
        let before = std::mem::replace(&mut workspace.name, name.clone());
        let renamed = workspace.clone();
        state.audit(AuditEntry::workspace_renamed(&before, &renamed));
        Ok(renamed)
    }

    fn api_keys(&self, which: &KeySelection) -> Result<Vec<KeyDetails>, StoreError> {
        let state = self.available()?;
        let mut found = Vec::new();
        // The tenants are sorted by id, the keys by creation.
        for tenant in &state.tenants {
            let keys = state.keys.iter().filter(|key| key.owner.tenant_id == tenant.id);
            for key in keys.filter(|key| is_selected(key, which)) {
                let id = key.owner.workspace_id;
                let workspace = state.workspaces.iter().find(|workspace| workspace.id == id);
                found.extend(workspace.map(|workspace| KeyDetails {
                    key: state.with_tenant(key),
                    tenant: tenant.name.clone(),
                    workspace: workspace.name.clone(),
                }));
            }
        }
        Ok(found)
    }

    fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        // Counted before the outage check: tests of the key cache count attempts.
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.available().map(|state| state.key(id))
    }

    fn create_api_key(&self, request: &KeyRequest) -> Result<ApiKey, CreateError> {
        let mut state = self.available()?;
        let key = state.add_key(request)?;
        state.audit(AuditEntry::key_created(&key));
        Ok(key)
    }

    fn expire_api_key(
        &self,
        id: &ApiKeyId,
        expires_at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.available()?.change_key(id, AuditEntry::key_expiry, |key| {
            let earlier = key.expires_at.map_or(expires_at, |before| before.min(expires_at));
            key.expires_at = Some(earlier);
        }))
    }

    fn revoke_api_key(
        &self,
        id: &ApiKeyId,
        revoked_at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.available()?.change_key(id, AuditEntry::key_revoked, |key| {
            key.revoked_at.get_or_insert(revoked_at);
        }))
    }

    fn note_key_uses(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        let mut state = self.available()?;
        for KeyUse { key_id, used_at } in uses {
            for key in state.keys.iter_mut().filter(|key| key.id == *key_id) {
                // No listener is notified: every server would drop the key from its cache each
                // minute.
                key.last_used_at = key.last_used_at.max(Some(*used_at));
            }
        }
        Ok(())
    }

    fn listen(&self) -> Result<Box<dyn CatalogListener>, StoreError> {
        let (sender, receiver) = channel();
        self.available()?.listeners.push(sender);
        Ok(Box::new(ChannelListener { receiver, tail: Vec::new() }))
    }
}

struct ChannelListener {
    receiver: Receiver<Notification>,
    tail: Vec<String>,
}

impl CatalogListener for ChannelListener {
    fn next(&mut self, timeout: Duration) -> Result<Vec<CatalogChange>, StoreError> {
        let first = match self.receiver.recv_timeout(timeout) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => return Ok(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(StoreError::Unavailable("the store is gone".into()));
            }
        };
        let mut changes = Vec::new();
        // Those already queued come along, as a database sends several notices at once.
        for notification in [first].into_iter().chain(self.receiver.try_iter()) {
            match notification {
                Notification::Change(change) => changes.push(change),
                Notification::Tail(text) => self.tail.push(text),
            }
        }
        Ok(changes)
    }

    fn take_tail(&mut self) -> Vec<String> {
        std::mem::take(&mut self.tail)
    }
}

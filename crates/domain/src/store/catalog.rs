//! The port of the catalogue: tenants, workspaces, API keys and limits. Small data, changed by admins and read by servers.

use std::time::Duration;

use super::StoreError;
use crate::api_key::{ApiKey, NewApiKey, Scopes, SecretHash};
use crate::clock::Timestamp;
use crate::event::EnrichedEvent;
use crate::ids::{ApiKeyId, Owner, TenantId};
use crate::limits::{LimitName, LimitOverrides};
use crate::tenant::{Name, Tenant, TenantStatus, Workspace};

/// What is asked of the catalogue. Every change is one transaction, and every server that watches hears of it.
pub trait Catalog: Send + Sync {
    /// Makes a tenant with one workspace and one key, and stores `samples` for it, in one transaction.
    ///
    /// # Errors
    /// [`CreateError::NameTaken`] where a tenant of that folded name exists; nothing is changed then.
    fn provision(&self, request: &Provisioning) -> Result<Provisioned, CreateError>;

    /// Whether there is any tenant.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not say.
    fn has_tenants(&self) -> Result<bool, StoreError>;

    /// Up to `limit` tenants, in the order of their ids, those after `after`.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not say.
    fn tenants(&self, after: Option<TenantId>, limit: usize) -> Result<Vec<Tenant>, StoreError>;

    /// The tenant of that folded name or that id, with the limits that it has in place of the server's.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not say.
    fn tenant(&self, which: &TenantRef) -> Result<Option<(Tenant, LimitOverrides)>, StoreError>;

    /// Makes a tenant without workspaces.
    ///
    /// # Errors
    /// [`CreateError::NameTaken`] where a tenant of that folded name exists.
    fn create_tenant(&self, name: &Name, created_at: Timestamp) -> Result<Tenant, CreateError>;

    /// Suspends or resumes a tenant, and returns it as it then is. One that is being deleted stays so.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer.
    fn suspend_tenant(&self, id: TenantId, suspended: bool) -> Result<Option<Tenant>, StoreError>;

    /// Sets limits of a tenant, or takes them away (`None`), and returns all that it then has.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer.
    fn set_limits(
        &self,
        id: TenantId,
        changes: &[(LimitName, Option<u64>)],
    ) -> Result<Option<LimitOverrides>, StoreError>;

    /// The workspaces of a tenant, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not say.
    fn workspaces(&self, tenant_id: TenantId) -> Result<Vec<Workspace>, StoreError>;

    /// Makes a workspace.
    ///
    /// # Errors
    /// [`CreateError::NameTaken`] where the tenant has one of that folded name; [`CreateError::NoOwner`] where there is no such
    /// tenant.
    fn create_workspace(
        &self,
        tenant_id: TenantId,
        name: &Name,
        created_at: Timestamp,
    ) -> Result<Workspace, CreateError>;

    /// The keys of a tenant, whatever their state, in the order in which they were made.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not say.
    fn api_keys(&self, tenant_id: TenantId) -> Result<Vec<ApiKey>, StoreError>;

    /// The key of that id, whatever its state.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not say.
    fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// Makes a key.
    ///
    /// # Errors
    /// [`CreateError::NoOwner`] where the tenant has no such workspace.
    fn create_api_key(&self, request: &KeyRequest) -> Result<ApiKey, CreateError>;

    /// Lets a key end at `expires_at`, and returns it as it then is. A key never gets more time than it had.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer.
    fn expire_api_key(
        &self,
        id: &ApiKeyId,
        expires_at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError>;

    /// Ends a key, and returns it as it then is; one that was revoked before keeps its first time. `None`: no such key.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer.
    fn revoke_api_key(
        &self,
        id: &ApiKeyId,
        revoked_at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError>;

    /// Notes when keys were used last. A later time that is known stays; keys that are gone are passed over. No server hears
    /// of it.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer.
    fn note_key_uses(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<(), StoreError>;

    /// Watches the catalogue from now on.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer.
    fn watch(&self) -> Result<Box<dyn CatalogWatch>, StoreError>;
}

/// Hears what others change in the catalogue.
pub trait CatalogWatch: Send {
    /// What has changed since the last call. Waits up to `timeout` for something.
    ///
    /// # Errors
    /// [`StoreError`] where the database is lost: what changed meanwhile is not known, and a new watch is needed.
    fn next(&mut self, timeout: Duration) -> Result<Vec<CatalogChange>, StoreError>;
}

/// A change of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogChange {
    /// A key was made or changed.
    ApiKey(ApiKeyId),
    /// A tenant or its limits were changed.
    Tenant(TenantId),
    /// Something, and nobody knows what.
    Anything,
}

/// Names a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantRef {
    /// By its folded name.
    Name(Name),
    /// By its id.
    Id(TenantId),
}

/// Why something was not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The name is taken, compared without case and surrounding space.
    #[error("the name is taken")]
    NameTaken,
    /// There is no such tenant, or it has no such workspace.
    #[error("there is no such tenant or workspace")]
    NoOwner,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key to make.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// Whose it is to be.
    pub owner: Owner,
    /// Its id.
    pub id: ApiKeyId,
    /// What to keep of its secret.
    pub secret_hash: SecretHash,
    /// Its name.
    pub name: Name,
    /// What it may do.
    pub scopes: Scopes,
    /// The present.
    pub created_at: Timestamp,
    /// From when on it is refused, if ever.
    pub expires_at: Option<Timestamp>,
}

impl KeyRequest {
    /// A request for `new`, a key that does not end by itself.
    #[must_use]
    pub fn new(
        owner: Owner,
        new: &NewApiKey,
        name: Name,
        scopes: Scopes,
        created_at: Timestamp,
    ) -> Self {
        let (id, secret_hash) = (new.id.clone(), new.secret_hash);
        Self { owner, id, secret_hash, name, scopes, created_at, expires_at: None }
    }

    /// The key that a store made of it.
    #[must_use]
    pub fn made(&self, status: TenantStatus, limits: LimitOverrides) -> ApiKey {
        ApiKey {
            id: self.id.clone(),
            owner: self.owner,
            name: self.name.clone(),
            scopes: self.scopes,
            secret_hash: self.secret_hash,
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: None,
            last_used_at: None,
            tenant_status: status,
            tenant_limits: limits,
        }
    }
}

/// What to make for a new tenant.
#[derive(Debug, Clone)]
pub struct Provisioning {
    /// The tenant's name.
    pub tenant: Name,
    /// The workspace's name.
    pub workspace: Name,
    /// The key's name.
    pub key_name: Name,
    /// The key's id.
    pub key_id: ApiKeyId,
    /// What to keep of the key's secret.
    pub secret_hash: SecretHash,
    /// What the key may do.
    pub scopes: Scopes,
    /// Events to begin with.
    pub samples: Vec<EnrichedEvent>,
    /// The present.
    pub created_at: Timestamp,
}

impl Provisioning {
    /// The request for the key alone.
    #[must_use]
    pub fn key(&self, owner: Owner) -> KeyRequest {
        KeyRequest {
            owner,
            id: self.key_id.clone(),
            secret_hash: self.secret_hash,
            name: self.key_name.clone(),
            scopes: self.scopes,
            created_at: self.created_at,
            expires_at: None,
        }
    }
}

/// What was made for a new tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    /// The tenant.
    pub tenant: Tenant,
    /// Its workspace.
    pub workspace: Workspace,
    /// The workspace's key.
    pub api_key: ApiKey,
    /// How many samples were stored.
    pub samples: usize,
}

impl Provisioned {
    /// What a store made for `request`, of which it chose the ids alone; `samples`: how many of them it stored.
    #[must_use]
    pub fn new(owner: Owner, request: &Provisioning, samples: usize) -> Self {
        let (created_at, status) = (request.created_at, TenantStatus::Active);
        Self {
            tenant: Tenant {
                id: owner.tenant_id,
                name: request.tenant.clone(),
                status,
                created_at,
            },
            workspace: Workspace {
                id: owner.workspace_id,
                tenant_id: owner.tenant_id,
                name: request.workspace.clone(),
                created_at,
            },
            api_key: request.key(owner).made(status, LimitOverrides::default()),
            samples,
        }
    }
}

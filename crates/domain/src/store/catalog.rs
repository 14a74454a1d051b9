//! The catalog: tenants, workspaces, API keys and limits. Small data that admins change and servers
//! read.

use std::time::Duration;

use super::StoreError;
use crate::api_key::{ApiKey, KeyUse, NewApiKey, Origins, Scopes, SecretHash};
use crate::clock::Timestamp;
use crate::event::EnrichedEvent;
use crate::ids::{ApiKeyId, Owner, TenantId};
use crate::limits::{LimitChange, LimitOverrides};
use crate::tenant::{Name, Tenant, TenantStatus, Workspace};

/// Access to the catalog. Every change is one transaction and reaches every [`CatalogListener`].
///
/// # Errors
/// Every method returns [`StoreError`] if the database fails; further errors are listed with it.
pub trait Catalog: Send + Sync {
    /// Creates a tenant with one workspace, one key and the sample events, in one transaction.
    ///
    /// # Errors
    /// [`CreateError::NameTaken`] if a tenant has the same folded name. Nothing is changed then.
    fn provision(&self, request: &Provisioning) -> Result<Provisioned, CreateError>;

    /// Whether at least one tenant exists.
    fn has_tenants(&self) -> Result<bool, StoreError>;

    /// Lists up to `limit` tenants in order of id, starting after `after`.
    fn tenants(&self, after: Option<TenantId>, limit: usize) -> Result<Vec<Tenant>, StoreError>;

    /// Finds a tenant by name or id, with its own limits.
    fn tenant(&self, which: &TenantRef) -> Result<Option<TenantDetails>, StoreError>;

    /// Creates a tenant without workspaces.
    ///
    /// # Errors
    /// [`CreateError::NameTaken`] if a tenant has the same folded name.
    fn create_tenant(&self, name: &Name, created_at: Timestamp) -> Result<Tenant, CreateError>;

    /// Renames a tenant and returns its new state. The case of its own name can be changed.
    ///
    /// # Errors
    /// [`CreateError::NameTaken`] if another tenant has the same folded name,
    /// [`CreateError::NoOwner`] if the tenant does not exist.
    fn rename_tenant(&self, id: TenantId, name: &Name) -> Result<Tenant, CreateError>;

    /// Suspends or resumes a tenant and returns its new state. A tenant being deleted stays so.
    fn suspend_tenant(&self, id: TenantId, suspended: bool) -> Result<Option<Tenant>, StoreError>;

    /// Sets limits of a tenant, or resets them to the server's default (`None`). Returns all its
    /// limits.
    fn set_limits(
        &self,
        id: TenantId,
        changes: &[LimitChange],
    ) -> Result<Option<LimitOverrides>, StoreError>;

    /// Lists the workspaces of a tenant in order of id, those being deleted included.
    fn workspaces(&self, tenant_id: TenantId) -> Result<Vec<Workspace>, StoreError>;

    /// Creates a workspace.
    ///
    /// # Errors
    /// [`CreateError::NameTaken`] if the tenant has a workspace of the same folded name,
    /// [`CreateError::NoOwner`] if the tenant does not exist.
    fn create_workspace(
        &self,
        tenant_id: TenantId,
        name: &Name,
        created_at: Timestamp,
    ) -> Result<Workspace, CreateError>;

    /// Renames a workspace and returns its new state. The case of its own name can be changed.
    ///
    /// # Errors
    /// [`CreateError::NameTaken`] if another workspace of the tenant has the same folded name,
    /// [`CreateError::NoOwner`] if the tenant has no such workspace.
    fn rename_workspace(&self, owner: Owner, name: &Name) -> Result<Workspace, CreateError>;

    /// Lists the selected keys with the names of their owners, expired and revoked ones included,
    /// by tenant and in order of creation.
    fn api_keys(&self, which: &KeySelection) -> Result<Vec<KeyDetails>, StoreError>;

    /// Finds a key by id, expired and revoked ones included. A key of a workspace being deleted
    /// counts as revoked.
    fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// Creates a key.
    ///
    /// # Errors
    /// [`CreateError::NoOwner`] if the tenant has no such workspace, or if it is being deleted.
    fn create_api_key(&self, request: &KeyRequest) -> Result<ApiKey, CreateError>;

    /// Sets the expiry of a key and returns its new state. An earlier expiry is kept.
    fn expire_api_key(
        &self,
        id: &ApiKeyId,
        expires_at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError>;

    /// Revokes a key and returns its new state. The first revocation time is kept. `None` if there
    /// is no such key.
    fn revoke_api_key(
        &self,
        id: &ApiKeyId,
        revoked_at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError>;

    /// Records the last use of keys. Later recorded times are kept and unknown keys ignored.
    /// Listeners are not notified.
    fn note_key_uses(&self, uses: &[KeyUse]) -> Result<(), StoreError>;

    /// Opens a listener for all changes committed from now on.
    fn listen(&self) -> Result<Box<dyn CatalogListener>, StoreError>;
}

/// Receives changes of the catalog, including those made by other processes.
pub trait CatalogListener: Send {
    /// Returns the changes since the last call. Blocks up to `timeout` for the first one.
    ///
    /// # Errors
    /// [`StoreError`] if the connection is lost. Changes may have been missed: open a new listener.
    fn next(&mut self, timeout: Duration) -> Result<Vec<CatalogChange>, StoreError>;

    /// Takes the texts of [`Store::notify_tail`](super::Store::notify_tail) that arrived so far, from
    /// any server. [`Self::next`] returns early for one. A store of a single process has none.
    fn take_tail(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A change of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogChange {
    /// A key was created or changed.
    ApiKey(ApiKeyId),
    /// A tenant, its limits or one of its workspaces changed.
    Tenant(TenantId),
    /// Something unspecified changed.
    Anything,
}

/// Identifies a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantRef {
    /// By folded name.
    Name(Name),
    /// By id.
    Id(TenantId),
}

/// A tenant with its own limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantDetails {
    /// The tenant.
    pub tenant: Tenant,
    /// The limits set for it in place of the server's.
    pub limits: LimitOverrides,
}

/// Selects API keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySelection {
    /// Those of all tenants.
    All,
    /// Those of one tenant.
    Tenant(TenantId),
    /// One key, if it exists.
    Key(ApiKeyId),
}

/// A key with the names of its owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDetails {
    /// The key.
    pub key: ApiKey,
    /// The name of its tenant.
    pub tenant: Name,
    /// The name of its workspace.
    pub workspace: Name,
}

/// Why something was not created or renamed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The name is taken. Case and surrounding space are ignored.
    #[error("the name is taken")]
    NameTaken,
    /// The tenant or its workspace does not exist.
    #[error("there is no such tenant or workspace")]
    NoOwner,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key to create.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields are those of `ApiKey`")]
pub struct KeyRequest {
    pub owner: Owner,
    pub id: ApiKeyId,
    pub secret_hash: SecretHash,
    pub name: Name,
    pub scopes: Scopes,
    pub origins: Option<Origins>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

impl KeyRequest {
    /// A request for `new`, without origins or an expiry.
    #[must_use]
    pub fn new(
        owner: Owner,
        new: &NewApiKey,
        name: Name,
        scopes: Scopes,
        created_at: Timestamp,
    ) -> Self {
        let (id, secret_hash) = (new.id.clone(), new.secret_hash);
        Self { owner, id, secret_hash, name, scopes, origins: None, created_at, expires_at: None }
    }

    /// The key as a store returns it right after creation.
    #[must_use]
    pub fn made(&self, status: TenantStatus, limits: LimitOverrides) -> ApiKey {
        ApiKey {
            id: self.id.clone(),
            owner: self.owner,
            name: self.name.clone(),
            scopes: self.scopes,
            origins: self.origins.clone(),
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

/// A tenant to create, with one workspace and one key.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Provisioning {
    pub tenant: Name,
    pub workspace: Name,
    pub key_name: Name,
    pub key_id: ApiKeyId,
    pub secret_hash: SecretHash,
    pub scopes: Scopes,
    /// Sample events to store. They count towards usage; no quota refuses them.
    pub samples: Vec<EnrichedEvent>,
    pub created_at: Timestamp,
}

impl Provisioning {
    /// The request for its key.
    #[must_use]
    pub fn key(&self, owner: Owner) -> KeyRequest {
        KeyRequest {
            owner,
            id: self.key_id.clone(),
            secret_hash: self.secret_hash,
            name: self.key_name.clone(),
            scopes: self.scopes,
            origins: None,
            created_at: self.created_at,
            expires_at: None,
        }
    }
}

/// A newly created tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Provisioned {
    pub tenant: Tenant,
    pub workspace: Workspace,
    pub api_key: ApiKey,
    /// Number of sample events stored.
    pub samples: usize,
}

impl Provisioned {
    /// The result for `request`, with the ids chosen by the store.
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
                is_deleting: false,
            },
            api_key: request.key(owner).made(status, LimitOverrides::default()),
            samples,
        }
    }
}

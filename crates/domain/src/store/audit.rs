//! The audit log: what admins did to the catalog and to events, by whom, when, and how it ended.
//!
//! Entries contain no secret and no id of a person. They are only added, never changed, and kept
//! for ever.

use super::{DeletedRows, Deletion, Provisioned, StoreError};
use crate::api_key::ApiKey;
use crate::clock::Timestamp;
use crate::ids::{ApiKeyId, TenantId, WorkspaceId};
use crate::limits::LimitChange;
use crate::tenant::{Name, Tenant, TenantStatus, Workspace};

/// Who works on a database, and by which command. A store with an actor records every change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// User and machine as the program sees them, such as `alice@db1`.
    pub name: String,
    /// Words of the command, such as `tenant suspend`.
    pub command: String,
}

/// What was done, and to what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// The tenant concerned.
    pub tenant_id: Option<TenantId>,
    /// The workspace concerned.
    pub workspace_id: Option<WorkspaceId>,
    /// The key concerned, by its public id.
    pub api_key_id: Option<ApiKeyId>,
    /// Names and values, for people.
    pub detail: String,
    /// How it ended.
    pub outcome: AuditOutcome,
}

/// How something done ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuditOutcome {
    /// It takes several transactions, of which the first is about to commit.
    Started,
    /// Done. An entry of a single transaction is written in it.
    #[default]
    Done,
    /// Failed. Earlier transactions of the command stay.
    Failed,
}

/// An entry in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// By the clock of the database.
    pub recorded_at: Timestamp,
    /// [`Actor::name`].
    pub actor: String,
    /// The role that the database authenticated; `None` for a database without roles.
    pub database_role: Option<String>,
    /// [`Actor::command`].
    pub command: String,
    /// What was done.
    pub entry: AuditEntry,
}

/// Access to the audit log.
///
/// # Errors
/// Every method returns [`StoreError`] if the database fails.
pub trait AuditLog: Send + Sync {
    /// Adds an entry in a transaction of its own. A store without an [`Actor`] adds nothing.
    ///
    /// Changes of the catalog and migrations need no call: the store adds their entries in their
    /// own transactions.
    fn record(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// Returns up to `limit` entries recorded at `since` or later, newest first.
    fn audit_log(
        &self,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError>;
}

impl AuditOutcome {
    /// The outcome in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// The reverse of [`AuditOutcome::as_str`].
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let all = [Self::Started, Self::Done, Self::Failed];
        all.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

impl AuditEntry {
    fn of_tenant(tenant: &Tenant, detail: String) -> Self {
        Self { tenant_id: Some(tenant.id), detail, ..Self::default() }
    }

    fn of_workspace(workspace: &Workspace, detail: String) -> Self {
        Self {
            tenant_id: Some(workspace.tenant_id),
            workspace_id: Some(workspace.id),
            detail,
            ..Self::default()
        }
    }

    fn of_deletion(deletion: Deletion, detail: String) -> Self {
        Self {
            tenant_id: Some(deletion.tenant_id()),
            workspace_id: deletion.workspace_id(),
            detail,
            ..Self::default()
        }
    }

    fn of_key(key: &ApiKey, change: &str) -> Self {
        Self {
            tenant_id: Some(key.owner.tenant_id),
            workspace_id: Some(key.owner.workspace_id),
            api_key_id: Some(key.id.clone()),
            detail: format!("key {:?} {change}", key.name.as_str()),
            outcome: AuditOutcome::Done,
        }
    }

    /// A tenant was created with a workspace and a key.
    #[must_use]
    pub fn provisioned(made: &Provisioned) -> Self {
        let Provisioned { tenant, workspace, api_key, samples } = made;
        let mut entry = Self::key_created(api_key);
        entry.detail = format!(
            "tenant {:?} with workspace {:?}, {samples} samples and {}",
            tenant.name.as_str(),
            workspace.name.as_str(),
            entry.detail
        );
        entry
    }

    /// A tenant was created.
    #[must_use]
    pub fn tenant_created(tenant: &Tenant) -> Self {
        Self::of_tenant(tenant, format!("tenant {:?} created", tenant.name.as_str()))
    }

    /// A tenant was suspended or resumed.
    #[must_use]
    pub fn tenant_status(tenant: &Tenant) -> Self {
        let status: TenantStatus = tenant.status;
        let detail = format!("tenant {:?} is {}", tenant.name.as_str(), status.as_str());
        Self::of_tenant(tenant, detail)
    }

    /// A tenant was renamed.
    #[must_use]
    pub fn tenant_renamed(before: &Name, tenant: &Tenant) -> Self {
        let (before, after) = (before.as_str(), tenant.name.as_str());
        Self::of_tenant(tenant, format!("tenant {before:?} renamed to {after:?}"))
    }

    /// The deletion of a tenant or workspace began. `name` is that of the deleted one.
    #[must_use]
    pub fn deletion_begun(deletion: Deletion, name: &Name) -> Self {
        let kind = match deletion {
            Deletion::Tenant(_) => "tenant",
            Deletion::Workspace(_) => "workspace",
        };
        Self {
            outcome: AuditOutcome::Started,
            ..Self::of_deletion(deletion, format!("deletion of {kind} {:?}", name.as_str()))
        }
    }

    /// A tenant or workspace was deleted, with `rows`.
    #[must_use]
    pub fn deletion_done(deletion: Deletion, rows: &DeletedRows) -> Self {
        let DeletedRows { events, event_keys, rejections, workspaces, api_keys } = rows;
        let detail = format!(
            "deletion removed {events} events, {event_keys} event keys, {rejections} rejections, \
             {workspaces} workspaces and {api_keys} API keys"
        );
        Self::of_deletion(deletion, detail)
    }

    /// Limits of a tenant were set, or returned to the server's.
    #[must_use]
    pub fn limits_set(tenant_id: TenantId, changes: &[LimitChange]) -> Self {
        let mut words = Vec::with_capacity(changes.len());
        for LimitChange { name, value } in changes {
            words.push(match value {
                Some(value) => format!("{name}={value}"),
                None => format!("{name} unset"),
            });
        }
        Self { tenant_id: Some(tenant_id), detail: words.join(", "), ..Self::default() }
    }

    /// A workspace was created.
    #[must_use]
    pub fn workspace_created(workspace: &Workspace) -> Self {
        let detail = format!("workspace {:?} created", workspace.name.as_str());
        Self::of_workspace(workspace, detail)
    }

    /// A workspace was renamed.
    #[must_use]
    pub fn workspace_renamed(before: &Name, workspace: &Workspace) -> Self {
        let (before, after) = (before.as_str(), workspace.name.as_str());
        Self::of_workspace(workspace, format!("workspace {before:?} renamed to {after:?}"))
    }

    /// A key was created.
    #[must_use]
    pub fn key_created(key: &ApiKey) -> Self {
        let end = match key.expires_at {
            Some(expires_at) => format!("until {expires_at}"),
            None => "without an end".to_owned(),
        };
        let pages = match &key.origins {
            Some(origins) => format!(" on pages of {origins}"),
            None => String::new(),
        };
        Self::of_key(key, &format!("created for {}{pages} {end}", key.scopes))
    }

    /// A key was given an end.
    #[must_use]
    pub fn key_expiry(key: &ApiKey) -> Self {
        match key.expires_at {
            Some(expires_at) => Self::of_key(key, &format!("ends at {expires_at}")),
            None => Self::of_key(key, "has no end"),
        }
    }

    /// A key was revoked.
    #[must_use]
    pub fn key_revoked(key: &ApiKey) -> Self {
        Self::of_key(key, "revoked")
    }

    /// A migration was applied or reverted; `change` says which of both.
    #[must_use]
    pub fn migration(name: &str, change: &str) -> Self {
        Self { detail: format!("migration {name} {change}"), ..Self::default() }
    }
}

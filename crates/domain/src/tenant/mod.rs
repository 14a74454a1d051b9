//! Tenants, their workspaces, and the names that people give them.

mod name;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{TenantId, WorkspaceId};

pub use name::{Name, NameError};

/// Whether a tenant may use the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// Requests are served.
    Active,
    /// Every request is refused; data is kept.
    Suspended,
    /// Every request is refused; data is being erased.
    Deleting,
}

impl TenantStatus {
    /// The status in SQL, JSON and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
        }
    }

    /// The reverse of [`TenantStatus::as_str`].
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        // Databases store `deleting` as a time in another column, never as a text.
        [Self::Active, Self::Suspended, Self::Deleting]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// A customer of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tenant {
    /// Given by the database.
    pub id: TenantId,
    /// Unique among tenants in its folded form.
    pub name: Name,
    /// Whether it may use the service.
    pub status: TenantStatus,
    /// Time of its creation.
    pub created_at: Timestamp,
}

/// A part of a tenant with its own events and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workspace {
    /// Given by the database.
    pub id: WorkspaceId,
    /// The tenant it belongs to.
    pub tenant_id: TenantId,
    /// Unique within the tenant in its folded form.
    pub name: Name,
    /// Time of its creation.
    pub created_at: Timestamp,
    /// Whether its events are being removed. It has no usable key then.
    pub is_deleting: bool,
}

//! The rows a removal selects, as conditions in SQL.

use mercurio_domain::store::{Deletion, Person, Removal};
use mercurio_domain::{TenantId, Timestamp};

use crate::rows::Micros;

/// The earliest time in PostgreSQL, in 4713 BC, in microseconds since 1970.
pub(super) const EARLIEST: Micros = Micros(-210_866_803_200_000_000);

/// How a removal selects events.
pub(super) enum SelectedEvents {
    /// Rows of one tenant.
    Rows(EventCondition),
    /// Whole partitions, with events of all tenants received before a time.
    Partitions {
        /// Exclusive upper bound.
        before: Timestamp,
    },
}

/// A condition on events of one tenant (`$1`), with a text as its parameter (`$2`).
pub(super) struct EventCondition {
    pub(super) tenant_id: TenantId,
    pub(super) sql: &'static str,
    pub(super) value: String,
}

impl SelectedEvents {
    pub(super) fn by(which: &Removal) -> Self {
        // The conditions are constants and the values bound: no client's text is in the SQL.
        let (tenant_id, sql, value) = match which {
            // Always true, so that all cases bind the same parameters.
            Removal::All(Deletion::Tenant(tenant_id)) => (*tenant_id, "$2 = ''", String::new()),
            Removal::All(Deletion::Workspace(owner)) => {
                (owner.tenant_id, "workspace_id = $2::bigint", owner.workspace_id.to_string())
            }
            Removal::Person { tenant_id, person: Person::User(id) } => {
                (*tenant_id, "user_id = $2", id.clone())
            }
            Removal::Person { tenant_id, person: Person::Anonymous(id) } => {
                (*tenant_id, "anonymous_id = $2", id.clone())
            }
            Removal::Received { tenant_id: Some(tenant_id), before } => {
                (*tenant_id, "received_at < $2::timestamptz", before.to_string())
            }
            Removal::Received { tenant_id: None, before } => {
                return Self::Partitions { before: *before };
            }
        };
        Self::Rows(EventCondition { tenant_id, sql, value })
    }
}

/// The event keys a removal selects. Both conditions begin with `AND`.
pub(super) struct SelectedKeys {
    /// A condition that bounds the scan of the primary key. Empty for all tenants.
    pub(super) of_tenant: String,
    /// A condition on the keys scanned, with the time of [`SelectedKeys::before`] as `$1`.
    pub(super) is_meant: String,
    pub(super) before: Micros,
    /// Whether nearly every key scanned is meant.
    pub(super) are_most_meant: bool,
}

impl SelectedKeys {
    /// Returns `None` for a removal that keeps all keys.
    pub(super) fn by(which: &Removal) -> Option<Self> {
        let is_meant = match which {
            // A person's keys stay, so that a resent event is a duplicate.
            Removal::Person { .. } => return None,
            // Always true, and keeps `$1` in the statement.
            Removal::All(Deletion::Tenant(_)) => "AND $1 IS NOT NULL".to_owned(),
            Removal::All(Deletion::Workspace(owner)) => {
                format!("AND $1 IS NOT NULL AND workspace_id = {}", owner.workspace_id)
            }
            Removal::Received { .. } => "AND received_at < $1".to_owned(),
        };
        let of_tenant = match which.tenant_id() {
            Some(tenant_id) => format!("AND tenant_id = {tenant_id}"),
            None => String::new(),
        };
        Some(Self {
            of_tenant,
            is_meant,
            // Without a time no key is old enough.
            before: which.keys_before().map_or(EARLIEST, Micros::from),
            are_most_meant: matches!(which, Removal::All(Deletion::Tenant(_))),
        })
    }
}

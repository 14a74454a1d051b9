//! `key …`: makes API keys, shows them, replaces them, and ends them.

use std::time::Duration;

use mercurio_domain::api_key::{ApiKey, ENTROPY_BYTES, NewApiKey, Scopes};
use mercurio_domain::store::{KeyRequest, Store, TenantRef};
use mercurio_domain::tenant::Name;
use mercurio_domain::{ApiKeyId, Owner, Timestamp};
use serde::Serialize;

use super::{Done, Outcome, tenant};
use crate::cli::{Expiry, KeyCommand, key_name_of};
use crate::{AdminError, Machine, database};

/// Said of every key that was just made.
pub(super) const SHOWN_ONCE: &str =
    "the key is shown this once and can't be read again: store it now";

/// An API key. It is never debugged with its secret.
#[derive(Serialize)]
pub struct ShownKey {
    /// The public id.
    pub id: ApiKeyId,
    /// The name.
    pub name: Name,
    /// The tenant's id, a string.
    pub tenant_id: String,
    /// The workspace's id, a string.
    pub workspace_id: String,
    /// What it may do.
    pub scopes: Scopes,
    /// `active`, `expired` or `revoked`.
    pub status: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was ended, if it was.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, to the minute, if ever.
    pub last_used_at: Option<Timestamp>,
    /// The key itself, if it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl std::fmt::Debug for ShownKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShownKey({}, ***)", self.id)
    }
}

/// The keys of a tenant.
#[derive(Debug, Serialize)]
pub struct Keys {
    /// In the order in which they were made.
    pub api_keys: Vec<ShownKey>,
}

/// A key in place of another.
#[derive(Debug, Serialize)]
pub struct Rotated {
    /// The new one.
    pub new: ShownKey,
    /// The old one, with the time at which it ends.
    pub old: ShownKey,
}

impl ShownKey {
    fn new(key: ApiKey, now: Timestamp, secret: Option<&NewApiKey>) -> Self {
        let status = match (key.revoked_at, key.is_usable_at(now)) {
            (Some(_), _) => "revoked",
            (None, false) => "expired",
            (None, true) => "active",
        };
        let Owner { tenant_id, workspace_id } = key.owner;
        Self {
            id: key.id,
            name: key.name,
            tenant_id: tenant_id.to_string(),
            workspace_id: workspace_id.to_string(),
            scopes: key.scopes,
            status,
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
            key: secret.map(|new| new.key.expose().to_owned()),
        }
    }
}

pub(super) fn key(
    store: &dyn Store,
    command: &KeyCommand,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    database::prepare(store)?;
    match command {
        KeyCommand::Create { .. } => create(store, command, machine),
        KeyCommand::List(which) => list(store, which, machine.clock.now()),
        KeyCommand::Rotate { key, overlap } => rotate(store, key, *overlap, machine),
        KeyCommand::Revoke(id) => revoke(store, id, machine.clock.now()),
    }
}

fn missing(id: &ApiKeyId) -> AdminError {
    AdminError::NotFound { what: "API key", name: id.to_string() }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_add(micros)).unwrap_or(now)
}

fn make(store: &dyn Store, request: &KeyRequest) -> Result<ApiKey, AdminError> {
    let workspace = request.owner.workspace_id.to_string();
    store
        .create_api_key(request)
        .map_err(|error| AdminError::of_creating(error, "workspace", &workspace))
}

fn new_key(machine: &Machine<'_>) -> Result<NewApiKey, AdminError> {
    let mut entropy = [0; ENTROPY_BYTES];
    (machine.entropy)(&mut entropy)?;
    Ok(NewApiKey::generate(&entropy))
}

fn create(
    store: &dyn Store,
    command: &KeyCommand,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    let KeyCommand::Create { tenant: which, workspace, name, scopes, expiry } = command else {
        return Err(AdminError::Usage(Vec::new()));
    };
    let now = machine.clock.now();
    let expires_at = match *expiry {
        None => None,
        Some(Expiry::At(time)) if time > now => Some(time),
        Some(Expiry::At(time)) => {
            return Err(AdminError::Usage(vec![format!(
                "--expires-at: {time} is not after the present, {now}"
            )]));
        }
        Some(Expiry::In(wait)) => Some(later(now, wait)),
    };
    let (tenant, _) = tenant::find(store, which)?;
    let found = store
        .workspaces(tenant.id)?
        .into_iter()
        .find(|known| known.name.folded() == workspace.folded());
    let Some(workspace) = found else {
        return Err(AdminError::NotFound { what: "workspace", name: workspace.to_string() });
    };
    let mut invalid = Vec::new();
    let Some(name) = name.clone().or_else(|| key_name_of(&workspace.name, &mut invalid)) else {
        return Err(AdminError::Usage(invalid));
    };
    let new = new_key(machine)?;
    let owner = Owner { tenant_id: tenant.id, workspace_id: workspace.id };
    let request = KeyRequest { expires_at, ..KeyRequest::new(owner, &new, name, *scopes, now) };
    let made = ShownKey::new(make(store, &request)?, now, Some(&new));
    Ok(Done { result: Outcome::Key(made), notes: vec![SHOWN_ONCE.to_owned()] })
}

fn list(store: &dyn Store, which: &TenantRef, now: Timestamp) -> Result<Done, AdminError> {
    let (tenant, _) = tenant::find(store, which)?;
    let keys =
        store.api_keys(tenant.id)?.into_iter().map(|key| ShownKey::new(key, now, None)).collect();
    Ok(Done { result: Outcome::Keys(Keys { api_keys: keys }), notes: Vec::new() })
}

fn rotate(
    store: &dyn Store,
    id: &ApiKeyId,
    overlap: Duration,
    machine: &Machine<'_>,
) -> Result<Done, AdminError> {
    let now = machine.clock.now();
    let old = store.find_api_key(id)?.ok_or_else(|| missing(id))?;
    if !old.is_usable_at(now) {
        let what = if old.revoked_at.is_some() { "was revoked" } else { "has expired" };
        return Err(AdminError::Ended { id: id.clone(), what });
    }
    // The new one first: whatever happens between the two, a key that works is there.
    let new = new_key(machine)?;
    let made = make(store, &KeyRequest::new(old.owner, &new, old.name, old.scopes, now))?;
    let old = store.expire_api_key(id, later(now, overlap))?.ok_or_else(|| missing(id))?;
    let ends = old.expires_at.map(|time| format!("the old key ends at {time}"));
    let result =
        Rotated { new: ShownKey::new(made, now, Some(&new)), old: ShownKey::new(old, now, None) };
    let notes = [SHOWN_ONCE.to_owned()].into_iter().chain(ends).collect();
    Ok(Done { result: Outcome::Rotated(result), notes })
}

fn revoke(store: &dyn Store, id: &ApiKeyId, now: Timestamp) -> Result<Done, AdminError> {
    let key = store.revoke_api_key(id, now)?.ok_or_else(|| missing(id))?;
    let note = match key.revoked_at {
        Some(before) if before < now => format!("it was revoked already, at {before}"),
        _ => "every server refuses it within a second".to_owned(),
    };
    Ok(Done { result: Outcome::Key(ShownKey::new(key, now, None)), notes: vec![note] })
}

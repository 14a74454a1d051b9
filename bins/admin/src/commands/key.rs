//! `key …`: creates, lists, rotates and revokes API keys.

use std::time::Duration;

use mercurio_domain::api_key::{ApiKey, NewApiKey, Scopes};
use mercurio_domain::store::{KeyRequest, Store, TenantRef};
use mercurio_domain::tenant::Name;
use mercurio_domain::{ApiKeyId, Owner, Timestamp};
use serde::Serialize;

use super::report::Report;
use super::{lookup, new_key};
use crate::cli::values::default_key_name;
use crate::cli::{Expiry, KeyCommand, KeyCreateCommand};
use crate::database;
use crate::error::{AdminError, CatalogItem, ItemKind};
use crate::machine::Machine;

/// Not `Debug`, because it may contain the secret.
#[derive(Serialize)]
struct KeyOutput {
    id: ApiKeyId,
    name: Name,
    tenant_id: String,
    workspace_id: String,
    scopes: Scopes,
    status: KeyStatus,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    /// Precise to the minute.
    last_used_at: Option<Timestamp>,
    /// The whole key with its secret; only for a new key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum KeyStatus {
    Active,
    Expired,
    Revoked,
}

/// Oldest first.
#[derive(Serialize)]
struct KeysOutput {
    api_keys: Vec<KeyOutput>,
}

#[derive(Serialize)]
struct RotationOutput {
    new: KeyOutput,
    /// Its `expires_at` is the end of the overlap.
    old: KeyOutput,
}

impl KeyOutput {
    fn new(key: ApiKey, now: Timestamp, secret: Option<&NewApiKey>) -> Self {
        // Revocation comes first: a revoked key may also have expired.
        let status = if key.revoked_at.is_some() {
            KeyStatus::Revoked
        } else if key.is_usable_at(now) {
            KeyStatus::Active
        } else {
            KeyStatus::Expired
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

pub(super) fn run(
    store: &dyn Store,
    command: &KeyCommand,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    database::prepare_schema(store)?;
    match command {
        KeyCommand::Create(command) => create(store, command, machine),
        KeyCommand::List(tenant) => list(store, tenant, machine.clock.now()),
        KeyCommand::Rotate { key, overlap } => rotate(store, key, *overlap, machine),
        KeyCommand::Revoke(id) => revoke(store, id, machine.clock.now()),
    }
}

fn create(
    store: &dyn Store,
    command: &KeyCreateCommand,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    let now = machine.clock.now();
    let expires_at = match command.expiry {
        None => None,
        Some(Expiry::At(time)) if time > now => Some(time),
        Some(Expiry::At(time)) => {
            let message = format!("--expires-at: {time} is in the past: use a time after {now}");
            return Err(AdminError::Usage(vec![message]));
        }
        Some(Expiry::In(duration)) => Some(later(now, duration)),
    };
    let tenant = lookup::tenant(store, &command.tenant)?;
    let workspace = lookup::workspace(store, &tenant, &command.workspace)?
        .ok_or_else(|| lookup::workspace_not_found(&command.workspace))?;
    let mut invalid = Vec::new();
    // The stored name, which may differ in case from the one on the command line.
    let name = match &command.name {
        Some(name) => Some(name.clone()),
        None => default_key_name(&workspace.name, &mut invalid),
    };
    let name = name.ok_or(AdminError::Usage(invalid))?;
    let new = new_key::generate(machine)?;
    let owner = Owner { tenant_id: tenant.id, workspace_id: workspace.id };
    let request = KeyRequest::new(owner, &new, name, command.scopes, now);
    let key = create_key(store, &KeyRequest { expires_at, ..request })?;
    Ok(Report::new(&KeyOutput::new(key, now, Some(&new)))?.with_note(new_key::PRINTED_ONCE))
}

fn list(store: &dyn Store, tenant: &TenantRef, now: Timestamp) -> Result<Report, AdminError> {
    let tenant = lookup::tenant(store, tenant)?;
    let keys = store.api_keys(tenant.id)?;
    let api_keys = keys.into_iter().map(|key| KeyOutput::new(key, now, None)).collect();
    Report::new(&KeysOutput { api_keys })
}

fn rotate(
    store: &dyn Store,
    id: &ApiKeyId,
    overlap: Duration,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    let now = machine.clock.now();
    let old = store.find_api_key(id)?.ok_or_else(|| key_not_found(id))?;
    if !old.is_usable_at(now) {
        let reason = if old.revoked_at.is_some() { "was revoked" } else { "has expired" };
        return Err(AdminError::KeyEnded { id: id.clone(), reason });
    }
    // Create before expire: if the program dies in between, a valid key remains.
    let secret = new_key::generate(machine)?;
    // The new key does not expire, even if the old one does.
    let request = KeyRequest::new(old.owner, &secret, old.name, old.scopes, now);
    let new = create_key(store, &request)?;
    // The overlap only shortens a life: the store keeps an earlier expiry.
    let old = store.expire_api_key(id, later(now, overlap))?.ok_or_else(|| key_not_found(id))?;
    let valid_until = old.expires_at.map(|time| format!("the old key is valid until {time}"));
    let report = Report::new(&RotationOutput {
        new: KeyOutput::new(new, now, Some(&secret)),
        old: KeyOutput::new(old, now, None),
    })?;
    let report = report.with_note(new_key::PRINTED_ONCE);
    Ok(match valid_until {
        Some(note) => report.with_note(note),
        None => report,
    })
}

fn revoke(store: &dyn Store, id: &ApiKeyId, now: Timestamp) -> Result<Report, AdminError> {
    let key = store.revoke_api_key(id, now)?.ok_or_else(|| key_not_found(id))?;
    let note = match key.revoked_at {
        // The store keeps the time of the first revocation.
        Some(before) if before < now => format!("the key was already revoked at {before}"),
        _ => "every server refuses the key within a second".to_owned(),
    };
    Ok(Report::new(&KeyOutput::new(key, now, None))?.with_note(note))
}

fn create_key(store: &dyn Store, request: &KeyRequest) -> Result<ApiKey, AdminError> {
    // Another command may delete the tenant between the look-up and the insert.
    store.create_api_key(request).map_err(|error| {
        let key = CatalogItem::new(ItemKind::ApiKey, &request.id);
        let workspace_id = format_args!("id:{}", request.owner.workspace_id).to_string();
        AdminError::not_created(error, key, CatalogItem::new(ItemKind::Workspace, workspace_id))
    })
}

fn key_not_found(id: &ApiKeyId) -> AdminError {
    AdminError::NotFound(CatalogItem::new(ItemKind::ApiKey, id))
}

fn later(now: Timestamp, duration: Duration) -> Timestamp {
    let micros = i64::try_from(duration.as_micros()).ok();
    let later = micros.and_then(|micros| now.checked_add_micros(micros));
    debug_assert!(later.is_some(), "the command line limits durations to 100 years");
    later.unwrap_or(now)
}

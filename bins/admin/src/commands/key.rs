//! `key …`: creates, lists, rotates and revokes API keys.

use std::time::Duration;

use mercurio_domain::api_key::{ApiKey, NewApiKey, Scopes};
use mercurio_domain::store::{KeyRequest, KeySelection, Store, TenantRef};
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
use crate::output::Output;

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
    out: &mut Output<'_>,
) -> Result<Report, AdminError> {
    database::require_schema(store)?;
    match command {
        KeyCommand::Create(command) => create(store, command, machine, out),
        KeyCommand::List(tenant) => list(store, tenant, machine.clock.now()),
        KeyCommand::Rotate { key, overlap, expiry } => {
            let rotation = Rotation { id: key, overlap: *overlap, expiry: *expiry };
            rotate(store, rotation, machine, out)
        }
        KeyCommand::Revoke(id) => revoke(store, id, machine.clock.now()),
    }
}

fn create(
    store: &dyn Store,
    command: &KeyCreateCommand,
    machine: &Machine<'_>,
    out: &mut Output<'_>,
) -> Result<Report, AdminError> {
    let now = machine.clock.now();
    let expires_at = expires_at(command.expiry.unwrap_or(Expiry::Never), now)?;
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
    let output = KeyOutput::new(key, now, Some(&new));
    new_key::print(&output, &new.id, store, machine, out)?;
    Ok(Report::without_result().with_note(new_key::PRINTED_ONCE))
}

fn expires_at(expiry: Expiry, now: Timestamp) -> Result<Option<Timestamp>, AdminError> {
    match expiry {
        Expiry::Never => Ok(None),
        Expiry::In(duration) => Ok(Some(later(now, duration))),
        Expiry::At(time) if time > now => Ok(Some(time)),
        Expiry::At(time) => {
            let message = format!("--expires-at: {time} is in the past: use a time after {now}");
            Err(AdminError::Usage(vec![message]))
        }
    }
}

fn list(store: &dyn Store, tenant: &TenantRef, now: Timestamp) -> Result<Report, AdminError> {
    let tenant = lookup::tenant(store, tenant)?;
    let keys = store.api_keys(&KeySelection::Tenant(tenant.id))?;
    let api_keys = keys.into_iter().map(|found| KeyOutput::new(found.key, now, None)).collect();
    Report::new(&KeysOutput { api_keys })
}

/// Arguments of `key rotate`.
struct Rotation<'a> {
    id: &'a ApiKeyId,
    overlap: Duration,
    expiry: Option<Expiry>,
}

fn rotate(
    store: &dyn Store,
    rotation: Rotation<'_>,
    machine: &Machine<'_>,
    out: &mut Output<'_>,
) -> Result<Report, AdminError> {
    let Rotation { id, overlap, expiry } = rotation;
    let now = machine.clock.now();
    let old = store.find_api_key(id)?.ok_or_else(|| key_not_found(id))?;
    if !old.is_usable_at(now) {
        let reason = if old.revoked_at.is_some() { "was revoked" } else { "has expired" };
        return Err(AdminError::KeyEnded { id: id.clone(), reason });
    }
    let expires_at = match expiry {
        Some(expiry) => expires_at(expiry, now)?,
        None => same_life(&old, now),
    };
    let secret = new_key::generate(machine)?;
    let request = KeyRequest::new(old.owner, &secret, old.name.clone(), old.scopes, now);
    let new = create_key(store, &KeyRequest { expires_at, ..request })?;
    // The overlap only shortens a life: the store keeps an earlier expiry.
    let end = later(now, overlap);
    let end = old.expires_at.map_or(end, |before| before.min(end));
    let output = RotationOutput {
        new: KeyOutput::new(new, now, Some(&secret)),
        old: KeyOutput::new(ApiKey { expires_at: Some(end), ..old }, now, None),
    };
    // Create, print, expire: whatever fails in between, clients have a valid key.
    new_key::print(&output, &secret.id, store, machine, out)?;
    store
        .expire_api_key(id, end)
        .map_err(|source| AdminError::OldKeyKept { id: id.clone(), source })?;
    let report = Report::without_result().with_note(new_key::PRINTED_ONCE);
    let report = report.with_note(format!("the old key is valid until {end}"));
    Ok(match expires_at {
        Some(time) => report.with_note(format!("the new key is valid until {time}")),
        None => report,
    })
}

/// The expiry of a key that lives from `now` as long as `old` was to live.
///
/// A deadline that stayed would leave the new key less time at each rotation, and none would undo
/// the rule that keys expire.
fn same_life(old: &ApiKey, now: Timestamp) -> Option<Timestamp> {
    let expires_at = old.expires_at?;
    let life = expires_at.as_micros() - old.created_at.as_micros();
    // Beyond the year 9999, the old deadline is far enough.
    Some(now.checked_add_micros(life).unwrap_or(expires_at))
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

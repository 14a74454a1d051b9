//! `key …`: creates, lists, shows, rotates and revokes API keys.

use std::time::Duration;

use indicatif::HumanDuration;
use mercurio_domain::api_key::{ApiKey, NewApiKey, Origins, Scopes};
use mercurio_domain::limits::LimitOverrides;
use mercurio_domain::store::{KeyDetails, KeyRequest, KeySelection, Store, TenantRef};
use mercurio_domain::tenant::{Name, TenantStatus};
use mercurio_domain::{ApiKeyId, Owner, Timestamp};
use serde::Serialize;

use super::confirm::{Question, confirm};
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
    tenant_name: Name,
    workspace_id: String,
    workspace_name: Name,
    scopes: Scopes,
    /// `null`: it works from anywhere.
    origins: Option<Origins>,
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

/// Everything about a key but its secret.
#[derive(Serialize)]
struct KeyShowOutput {
    #[serde(flatten)]
    key: KeyOutput,
    /// Only an active tenant's keys are accepted.
    tenant_status: TenantStatus,
    /// The tenant's own limits.
    limits: LimitOverrides,
}

#[derive(Serialize)]
struct RotationOutput {
    new: KeyOutput,
    /// Its `expires_at` is the end of the overlap.
    old: KeyOutput,
}

impl KeyOutput {
    fn new(found: KeyDetails, now: Timestamp, secret: Option<&NewApiKey>) -> Self {
        let KeyDetails { key, tenant, workspace } = found;
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
            tenant_name: tenant,
            workspace_id: workspace_id.to_string(),
            workspace_name: workspace,
            scopes: key.scopes,
            origins: key.origins,
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
        KeyCommand::List(tenant) => list(store, tenant.as_ref(), machine.clock.now()),
        KeyCommand::Show(id) => show(store, id, machine.clock.now()),
        KeyCommand::Rotate { key, overlap, expiry } => {
            let rotation = Rotation { id: key, overlap: *overlap, expiry: *expiry };
            rotate(store, rotation, machine, out)
        }
        KeyCommand::Revoke { key, yes } => revoke(store, key, *yes, machine),
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
    let workspace = lookup::existing_workspace(store, &tenant, &command.workspace)?;
    if workspace.is_deleting {
        return Err(AdminError::WorkspaceDeleting(workspace.name.to_string()));
    }
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
    let origins = command.origins.clone();
    let key = create_key(store, &KeyRequest { origins, expires_at, ..request })?;
    let created = KeyDetails { key, tenant: tenant.name, workspace: workspace.name };
    let output = KeyOutput::new(created, now, Some(&new));
    new_key::print(&output, &new.id, store, machine, out)?;
    Ok(Report::without_result().with_note(new_key::PRINTED_ONCE))
}

fn expires_at(expiry: Expiry, now: Timestamp) -> Result<Option<Timestamp>, AdminError> {
    match expiry {
        Expiry::Never => Ok(None),
        Expiry::At(time) => match time.after(now) {
            time if time > now => Ok(Some(time)),
            time => {
                let message = format!("--expires: {time} is not after now, which is {now}");
                Err(AdminError::Usage(vec![message]))
            }
        },
    }
}

fn list(
    store: &dyn Store,
    tenant: Option<&TenantRef>,
    now: Timestamp,
) -> Result<Report, AdminError> {
    let which = match tenant {
        None => KeySelection::All,
        Some(tenant) => KeySelection::Tenant(lookup::tenant(store, tenant)?.id),
    };
    let keys = store.api_keys(&which)?;
    let api_keys = keys.into_iter().map(|found| KeyOutput::new(found, now, None)).collect();
    Report::new(&KeysOutput { api_keys })
}

fn show(store: &dyn Store, id: &ApiKeyId, now: Timestamp) -> Result<Report, AdminError> {
    let found = find(store, id)?;
    let (tenant_status, limits) = (found.key.tenant_status, found.key.tenant_limits);
    let key = KeyOutput::new(found, now, None);
    Report::new(&KeyShowOutput { key, tenant_status, limits })
}

fn find(store: &dyn Store, id: &ApiKeyId) -> Result<KeyDetails, AdminError> {
    let found = store.api_keys(&KeySelection::Key(id.clone()))?;
    found.into_iter().next().ok_or_else(|| key_not_found(id))
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
    let KeyDetails { key: old, tenant, workspace } = find(store, id)?;
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
    let origins = old.origins.clone();
    let new = create_key(store, &KeyRequest { origins, expires_at, ..request })?;
    // The overlap only shortens a life: the store keeps an earlier expiry.
    let end = later(now, overlap);
    let end = old.expires_at.map_or(end, |before| before.min(end));
    let old = ApiKey { expires_at: Some(end), ..old };
    let named = |key| KeyDetails { key, tenant: tenant.clone(), workspace: workspace.clone() };
    let output = RotationOutput {
        new: KeyOutput::new(named(new), now, Some(&secret)),
        old: KeyOutput::new(named(old), now, None),
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

fn revoke(
    store: &dyn Store,
    id: &ApiKeyId,
    yes: bool,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    let now = machine.clock.now();
    let found = find(store, id)?;
    if let Some(before) = found.key.revoked_at {
        let note = format!("the key was already revoked at {before}");
        return Ok(Report::new(&KeyOutput::new(found, now, None))?.with_note(note));
    }
    confirm(machine, yes, || Ok(revocation_question(&found, now)))?;
    // Another command may have deleted its tenant since the look-up.
    let key = store.revoke_api_key(id, now)?.ok_or_else(|| key_not_found(id))?;
    let note = "every server refuses the key within a second";
    Ok(Report::new(&KeyOutput::new(KeyDetails { key, ..found }, now, None))?.with_note(note))
}

fn revocation_question(found: &KeyDetails, now: Timestamp) -> Question {
    let KeyDetails { key, tenant, workspace } = found;
    let last_use = match key.last_used_at {
        Some(used_at) => {
            let ago = u64::try_from(now.micros_since(used_at)).unwrap_or(0);
            let ago = HumanDuration(Duration::from_micros(ago));
            format!("last used at {used_at}, {ago} ago")
        }
        None => "never used".to_owned(),
    };
    Question::yes(&format!(
        "This revokes the API key {} for good:\n  name       {:?}\n  tenant     {:?}\n  \
         workspace  {:?}\n  {last_use}",
        key.id,
        key.name.as_str(),
        tenant.as_str(),
        workspace.as_str()
    ))
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

//! Names and ids from the database, for completion: as many as arrive in time.

use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use mercurio_domain::Timestamp;
use mercurio_domain::store::{KeyDetails, KeySelection, Store, StoreError, TenantRef};
use mercurio_domain::tenant::Tenant;
use mercurio_storage::DatabaseUrl;

use super::candidate::Candidate;
use crate::cli::values::tenant_ref;
use crate::database;
use crate::machine::Machine;

/// A person waits at the prompt. An answer that is not there by then is empty.
const TIME_LIMIT: Duration = Duration::from_millis(800);
/// Tenants per query.
const PAGE: usize = 500;

/// What is asked for.
pub(super) enum Names {
    Tenants,
    /// Tenants as `id:42`.
    TenantIds,
    Workspaces {
        /// `None`: those of all tenants.
        tenant: Option<String>,
    },
    Keys {
        /// `None`: those of all tenants.
        tenant: Option<String>,
        only_usable: bool,
    },
}

/// Returns candidates from the database in the settings. Without one, or on any error, there are none.
pub(super) fn fetch(names: Names, machine: &Machine<'_>) -> Vec<Candidate> {
    let deadline = Instant::now() + TIME_LIMIT;
    let Some(url) = database::url(machine.setting, &mut Vec::new()) else { return Vec::new() };
    let (sender, received) = mpsc::channel();
    let now = machine.clock.now();
    // A thread of its own: connecting to a host that does not answer cannot be stopped. It ends with
    // the process.
    std::thread::spawn(move || Reader { now, sender }.read(&url, &names).ok());
    let mut candidates = Vec::new();
    let left = || deadline.saturating_duration_since(Instant::now());
    while let Ok(candidate) = received.recv_timeout(left()) {
        candidates.push(candidate);
    }
    candidates
}

struct Reader {
    now: Timestamp,
    sender: Sender<Candidate>,
}

impl Reader {
    fn read(&self, url: &DatabaseUrl, names: &Names) -> Result<(), StoreError> {
        let Some(store) = database::open_to_look(url, TIME_LIMIT)? else { return Ok(()) };
        match names {
            Names::Tenants => {
                self.each_tenant(&*store, |tenant| self.offer(tenant.name.as_str(), &about(tenant)))
            }
            Names::TenantIds => self.each_tenant(&*store, |tenant| {
                self.offer(&format!("id:{}", tenant.id), tenant.name.as_str())
            }),
            Names::Workspaces { tenant: Some(tenant) } => match find(&*store, tenant)? {
                Some(tenant) => self.workspaces(&*store, &tenant),
                None => Ok(()),
            },
            Names::Workspaces { tenant: None } => {
                let mut result = Ok(());
                self.each_tenant(&*store, |tenant| {
                    if result.is_ok() {
                        result = self.workspaces(&*store, tenant);
                    }
                })?;
                result
            }
            Names::Keys { tenant, only_usable } => {
                let which = match tenant.as_deref().map(|tenant| find(&*store, tenant)) {
                    None => KeySelection::All,
                    Some(found) => match found? {
                        Some(tenant) => KeySelection::Tenant(tenant.id),
                        None => return Ok(()),
                    },
                };
                self.keys(&*store, &which, *only_usable)
            }
        }
    }

    fn each_tenant(
        &self,
        store: &dyn Store,
        mut work: impl FnMut(&Tenant),
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = store.tenants(after, PAGE)?;
            page.iter().for_each(&mut work);
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id),
                _ => return Ok(()),
            }
        }
    }

    fn workspaces(&self, store: &dyn Store, tenant: &Tenant) -> Result<(), StoreError> {
        for workspace in store.workspaces(tenant.id)? {
            self.offer(workspace.name.as_str(), &format!("of {}", tenant.name));
        }
        Ok(())
    }

    fn keys(
        &self,
        store: &dyn Store,
        which: &KeySelection,
        only_usable: bool,
    ) -> Result<(), StoreError> {
        for KeyDetails { key, tenant, .. } in store.api_keys(which)? {
            let is_usable = key.is_usable_at(self.now);
            if is_usable || !only_usable {
                let state = if is_usable { "" } else { ", ended" };
                self.offer(key.id.as_str(), &format!("{} of {tenant}{state}", key.name));
            }
        }
        Ok(())
    }

    fn offer(&self, value: &str, description: &str) {
        // Nobody listens behind the time limit.
        self.sender.send(Candidate::new(value, description)).ok();
    }
}

fn about(tenant: &Tenant) -> String {
    format!("id:{}, {}", tenant.id, tenant.status.as_str())
}

fn find(store: &dyn Store, tenant: &str) -> Result<Option<Tenant>, StoreError> {
    let Some(tenant): Option<TenantRef> = tenant_ref("", tenant, &mut Vec::new()) else {
        return Ok(None);
    };
    Ok(store.tenant(&tenant)?.map(|found| found.tenant))
}

//! Everything under test: the cluster, two servers, and the journal of the run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Scopes};
use mercurio_domain::store::{KeyRequest, Provisioning, Store};
use mercurio_domain::tenant::Name;
use mercurio_domain::{Clock, Owner};
use mercurio_runtime::system::SystemClock;
use mercurio_storage::{DatabaseUrl, StoreOptions};
use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::error::Error;
use crate::journal::Journal;
use crate::proxy::Flow;
use crate::server::Server;

const TENANTS: usize = 3;

/// The system under test.
pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    pub(crate) servers: [Server; 2],
    pub(crate) workspaces: Vec<Workspace>,
    pub(crate) journal: Arc<Journal>,
    /// The part of the run with a synchronous standby.
    pub(crate) synchronous: Duration,
    is_over: AtomicBool,
    is_settled: AtomicBool,
    is_checked: AtomicBool,
}

/// A workspace and its key.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// The index of its tenant, from 0.
    pub(crate) tenant: usize,
    pub(crate) owner: Owner,
    pub(crate) key: String,
}

impl Site {
    /// Starts the databases and the servers.
    pub(crate) async fn start(
        folder: &Path,
        synchronous: Duration,
        random: &mut fastrand::Rng,
    ) -> Result<Self, Error> {
        let journal = Arc::new(Journal::new());
        let cluster = Cluster::start(folder).await?;
        let workspaces = provision(&cluster.direct_url(), random)?;
        let url = cluster.url();
        let servers =
            [Server::new(1, &url, folder, &journal)?, Server::new(2, &url, folder, &journal)?];
        for server in &servers {
            server.start()?;
        }
        journal.say("two servers and two databases are started");
        let [is_over, is_settled, is_checked] = [false; 3].map(AtomicBool::new);
        Ok(Self {
            cluster,
            servers,
            workspaces,
            journal,
            synchronous,
            is_over,
            is_settled,
            is_checked,
        })
    }

    /// Ends the faults, and new requests.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Every batch is answered: nothing follows in the feeds.
    pub(crate) fn settle(&self) {
        self.is_settled.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::SeqCst)
    }

    /// Undoes every fault.
    pub(crate) fn heal(&self) -> Result<(), Error> {
        for proxy in self.cluster.proxies().iter().chain(self.cluster.replication()) {
            proxy.set_flow(Flow::Open);
            proxy.spare_commits();
        }
        for server in &self.servers {
            server.set_clock("+0")?;
            server.signal(Signal::CONT);
        }
        self.cluster.heal()
    }

    /// Stops the servers in order.
    pub(crate) fn stop_servers(&self) {
        self.is_checked.store(true, Ordering::SeqCst);
        for server in &self.servers {
            match server.stop() {
                Some(status) if status.success() => {}
                other => self.journal.violation(format!(
                    "server {} did not stop in order: {other:?}",
                    server.number
                )),
            }
        }
    }

    /// Whether the servers are being stopped for the check.
    pub(crate) fn is_checked(&self) -> bool {
        self.is_checked.load(Ordering::SeqCst)
    }
}

/// Migrates the database, and creates three tenants. The first has two workspaces.
fn provision(url: &str, random: &mut fastrand::Rng) -> Result<Vec<Workspace>, Error> {
    let store = mercurio_storage::open(&DatabaseUrl::parse(url)?, &StoreOptions::default())?;
    store.migrate()?;
    let mut workspaces = Vec::new();
    for tenant in 0..TENANTS {
        let new = new_key(random);
        let provisioned = store.provision(&Provisioning {
            tenant: Name::parse(&format!("Tenant {tenant}"))?,
            workspace: Name::parse("First")?,
            key_name: Name::parse("chaos")?,
            key_id: new.id,
            secret_hash: new.secret_hash,
            scopes: Scopes::all(),
            samples: Vec::new(),
            created_at: SystemClock.now(),
        })?;
        let key = new.key.expose().to_owned();
        workspaces.push(Workspace { tenant, owner: provisioned.api_key.owner, key });
    }
    let second = second_workspace(&*store, &workspaces[0], random)?;
    workspaces.push(second);
    Ok(workspaces)
}

fn second_workspace(
    store: &dyn Store,
    first: &Workspace,
    random: &mut fastrand::Rng,
) -> Result<Workspace, Error> {
    let (tenant_id, now) = (first.owner.tenant_id, SystemClock.now());
    let workspace = store.create_workspace(tenant_id, &Name::parse("Second")?, now)?;
    let owner = Owner { tenant_id, workspace_id: workspace.id };
    let new = new_key(random);
    let request = KeyRequest::new(owner, &new, Name::parse("chaos")?, Scopes::all(), now);
    store.create_api_key(&request)?;
    Ok(Workspace { tenant: first.tenant, owner, key: new.key.expose().to_owned() })
}

fn new_key(random: &mut fastrand::Rng) -> NewApiKey {
    // Good enough: the keys exist for one run.
    let entropy: [u8; ENTROPY_BYTES] = std::array::from_fn(|_| random.u8(..));
    NewApiKey::generate(&entropy)
}

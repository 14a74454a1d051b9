//! A primary and a standby, with proxies in front of both and between them.

mod disk;
mod node;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use node::{Node, wait_until};

use crate::error::Error;
use crate::proxy::Proxy;

/// Settings of both nodes, changed by [`Cluster::set_synchronous`].
const SYNCHRONOUS: &str = "synchronous_standby_names = '*'\n";
const ASYNCHRONOUS: &str = "synchronous_standby_names = ''\n";

/// What became of a failover.
pub(crate) enum Failover {
    Done(String),
    /// The standby lacks what the primary has promised. The primary keeps its role.
    NotNow(&'static str),
}

/// Two nodes. One is the primary at a time, never both: a node is dead before the other is promoted.
pub(crate) struct Cluster {
    nodes: [Node; 2],
    /// In front of each node, for the servers.
    proxies: [Proxy; 2],
    /// In front of each node, for the other one's replication.
    replication: [Proxy; 2],
    shared: PathBuf,
    roles: Mutex<Roles>,
}

struct Roles {
    primary: usize,
    is_synchronous: bool,
    /// The position in the WAL that the standby must have reached before it may be promoted.
    needed: String,
}

impl Cluster {
    /// Creates a primary and a synchronous standby.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Error> {
        let nodes = [Node::new("a", folder)?, Node::new("b", folder)?];
        let cluster = Self {
            proxies: [Proxy::start(nodes[0].addr).await?, Proxy::start(nodes[1].addr).await?],
            replication: [Proxy::start(nodes[0].addr).await?, Proxy::start(nodes[1].addr).await?],
            nodes,
            shared: folder.join("shared.conf"),
            roles: Mutex::new(Roles { primary: 0, is_synchronous: true, needed: "0/0".to_owned() }),
        };
        // Nothing could commit without a standby.
        fs::write(&cluster.shared, ASYNCHRONOUS)?;
        for (node, upstream) in cluster.nodes.iter().zip(cluster.replication.iter().rev()) {
            node.configure(upstream.addr, &cluster.shared)?;
        }
        let [primary, standby] = &cluster.nodes;
        primary.initialize()?;
        primary.start()?;
        primary.execute("CREATE DATABASE mercurio")?;
        standby.copy_from(primary)?;
        standby.start()?;
        cluster.set_synchronous(true)?;
        cluster.wait_for_standby()?;
        Ok(cluster)
    }

    /// The URL for the servers: both proxies, and whichever is the primary.
    pub(crate) fn url(&self) -> String {
        let [a, b] = &self.proxies;
        format!(
            "postgres://postgres@{},{}/mercurio?target_session_attrs=read-write",
            a.addr, b.addr
        )
    }

    /// The URL of the primary itself.
    pub(crate) fn direct_url(&self) -> String {
        format!("postgres://postgres@{}/mercurio", self.primary().addr)
    }

    pub(crate) fn primary(&self) -> &Node {
        &self.nodes[self.roles().primary]
    }

    pub(crate) fn standby(&self) -> &Node {
        &self.nodes[1 - self.roles().primary]
    }

    pub(crate) fn is_synchronous(&self) -> bool {
        self.roles().is_synchronous
    }

    /// The proxies between the servers and the nodes.
    pub(crate) fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// The proxies between the nodes.
    pub(crate) fn replication(&self) -> &[Proxy] {
        &self.replication
    }

    /// Makes commits wait for the standby, or ends that.
    pub(crate) fn set_synchronous(&self, is_synchronous: bool) -> Result<(), Error> {
        fs::write(&self.shared, if is_synchronous { SYNCHRONOUS } else { ASYNCHRONOUS })?;
        for node in &self.nodes {
            node.execute("SELECT pg_reload_conf()")?;
        }
        self.roles().is_synchronous = is_synchronous;
        Ok(())
    }

    /// Promotes the standby after the death of the primary, which becomes the standby. Returns what
    /// was done.
    ///
    /// Under synchronous replication the primary is killed. Otherwise it is stopped, and the standby
    /// must have everything: asynchronous replication promises no more.
    pub(crate) fn fail_over(&self) -> Result<Failover, Error> {
        let (old, new) = (self.primary(), self.standby());
        let needed = self.roles().needed.clone();
        if !self.standby_has(&needed)? {
            return Ok(Failover::NotNow("the standby lags"));
        }
        let is_synchronous = self.is_synchronous();
        if is_synchronous {
            old.kill()?;
        } else {
            old.stop("fast")?;
            let checkpoint = old.last_checkpoint()?;
            // The position after the record: the standby has it if it has received more.
            if !new.is_true(&format!("pg_last_wal_receive_lsn() > '{checkpoint}'::pg_lsn"))? {
                old.start()?;
                return Ok(Failover::NotNow("the standby has missed the end"));
            }
        }
        new.promote()?;
        {
            let mut roles = self.roles();
            roles.primary = 1 - roles.primary;
        }
        let way = old.rebuild_from(new)?;
        old.start()?;
        self.wait_for_standby()?;
        let mode = if is_synchronous { "killed" } else { "stopped" };
        let (old, new) = (old.name, new.name);
        Ok(Failover::Done(format!("{old} {mode}, {new} promoted, {old} {way}")))
    }

    /// Starts whatever does not run.
    pub(crate) fn heal(&self) -> Result<(), Error> {
        self.primary().start()?;
        self.standby().start()
    }

    /// Waits until the standby has all that the primary has now, and requires that of the next
    /// failover if it does not come true. Faults of the network may delay it.
    pub(crate) fn wait_for_standby(&self) -> Result<(), Error> {
        let needed = self.primary().text("pg_current_wal_flush_lsn()")?;
        self.roles().needed.clone_from(&needed);
        wait_until(|| self.standby_has(&needed).unwrap_or(false))
    }

    fn standby_has(&self, position: &str) -> Result<bool, Error> {
        // Not asked of the standby: it has what it has promised to the primary.
        self.primary().is_true(&format!(
            "EXISTS (SELECT FROM pg_stat_replication
                     WHERE state = 'streaming' AND flush_lsn >= '{position}'::pg_lsn)"
        ))
    }

    fn roles(&self) -> MutexGuard<'_, Roles> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

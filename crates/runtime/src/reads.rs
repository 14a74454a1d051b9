//! Admission of tenants' reads of events, so that they leave room for all other work.
//!
//! A read holds a [`ReadPermit`] until its response is sent, and a thread and a connection only
//! while the database works on it. Both are bounded for the server, and the permits for each tenant
//! too. So neither slow queries nor clients that do not read their responses take up the threads,
//! the connections or the memory of the server.
//!
//! Not here: the rate of reads (`rate-limit`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mercurio_domain::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bounds of a server.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Maximum reads the database works on at one time: the store's connections for reads.
    pub running: usize,
    /// Maximum reads in progress, including those that wait and those whose response is being sent.
    /// A response has a page of events, so this bounds the memory.
    pub admitted: usize,
    /// Maximum wait of an admitted read before it runs.
    pub wait: Duration,
}

impl Default for ReadOptions {
    /// 8 running reads and 64 admitted ones; 2 seconds of waiting.
    fn default() -> Self {
        Self { running: 8, admitted: 64, wait: Duration::from_secs(2) }
    }
}

/// Why a read does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadRefusal {
    /// The tenant has its maximum of reads in progress.
    TenantLimit,
    /// The server has its maximum of reads in progress, or the read waited too long.
    Overloaded,
}

/// The reads in progress. Clones share them.
#[derive(Debug, Clone)]
pub struct Reads {
    shared: Arc<SharedReads>,
}

#[derive(Debug)]
struct SharedReads {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    wait: Duration,
    /// Admitted reads by tenant. A tenant without one has no entry.
    tenants: Mutex<HashMap<TenantId, u64>>,
}

/// An admitted read. Dropping it makes room for the next one.
#[derive(Debug)]
pub struct ReadPermit {
    shared: Arc<SharedReads>,
    tenant_id: TenantId,
    _admitted: OwnedSemaphorePermit,
}

/// A read the database works on. Dropping it lets the next one run.
#[derive(Debug)]
pub struct RunningRead(#[expect(dead_code, reason = "returned on drop")] OwnedSemaphorePermit);

impl Reads {
    /// Starts without reads.
    #[must_use]
    pub fn new(options: &ReadOptions) -> Self {
        Self {
            shared: Arc::new(SharedReads {
                running: Arc::new(Semaphore::new(options.running)),
                admitted: Arc::new(Semaphore::new(options.admitted)),
                wait: options.wait,
                tenants: Mutex::default(),
            }),
        }
    }

    /// Admits a read of a tenant that may have `limit` of them in progress.
    ///
    /// # Errors
    /// [`ReadRefusal`] at once if there are too many.
    pub fn admit(&self, tenant_id: TenantId, limit: u64) -> Result<ReadPermit, ReadRefusal> {
        let shared = &self.shared;
        let mut tenants = shared.lock();
        let reads = tenants.get(&tenant_id).copied().unwrap_or(0);
        // First: a tenant over its limit must not believe the server is overloaded.
        if reads >= limit {
            return Err(ReadRefusal::TenantLimit);
        }
        let admitted = Arc::clone(&shared.admitted).try_acquire_owned();
        let admitted = admitted.map_err(|_| ReadRefusal::Overloaded)?;
        tenants.insert(tenant_id, reads + 1);
        Ok(ReadPermit { shared: Arc::clone(shared), tenant_id, _admitted: admitted })
    }
}

impl ReadPermit {
    /// Waits until the read may run, in the order of the calls.
    ///
    /// # Errors
    /// [`ReadRefusal::Overloaded`] if the wait takes too long.
    pub async fn run(&self) -> Result<RunningRead, ReadRefusal> {
        let running = Arc::clone(&self.shared.running).acquire_owned();
        match tokio::time::timeout(self.shared.wait, running).await {
            Ok(Ok(running)) => Ok(RunningRead(running)),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(ReadRefusal::Overloaded),
        }
    }
}

impl Drop for ReadPermit {
    fn drop(&mut self) {
        let mut tenants = self.shared.lock();
        if let Entry::Occupied(mut reads) = tenants.entry(self.tenant_id) {
            *reads.get_mut() -= 1;
            if *reads.get() == 0 {
                reads.remove();
            }
        }
    }
}

impl SharedReads {
    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, u64>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: TenantId = TenantId(1);
    const OTHER: TenantId = TenantId(2);

    fn reads(running: usize, admitted: usize) -> Reads {
        Reads::new(&ReadOptions { running, admitted, wait: Duration::from_millis(20) })
    }

    fn refusal(admitted: Result<ReadPermit, ReadRefusal>) -> Option<ReadRefusal> {
        admitted.err()
    }

    #[test]
    fn tenant_is_refused_alone_at_its_limit() {
        let reads = reads(8, 8);
        let mine: Vec<_> = (0..2).map(|_| reads.admit(ONE, 2).unwrap()).collect();
        assert_eq!(refusal(reads.admit(ONE, 2)), Some(ReadRefusal::TenantLimit));
        assert!(reads.admit(OTHER, 2).is_ok());
        // A raised limit applies at once.
        assert!(reads.admit(ONE, 3).is_ok());
        drop(mine);
        assert!(reads.admit(ONE, 1).is_ok());
        assert!(reads.shared.lock().is_empty(), "tenants without reads take no memory");
    }

    #[test]
    fn server_refuses_reads_over_its_bound() {
        let reads = reads(8, 2);
        let mine = reads.admit(ONE, 4).unwrap();
        let other = reads.admit(OTHER, 4).unwrap();
        assert_eq!(refusal(reads.admit(OTHER, 4)), Some(ReadRefusal::Overloaded));
        drop(other);
        assert!(reads.admit(OTHER, 4).is_ok());
        drop(mine);
    }

    #[tokio::test]
    async fn read_waits_for_a_running_one_to_end() {
        let reads = reads(1, 8);
        let (first, second) = (reads.admit(ONE, 4).unwrap(), reads.admit(OTHER, 4).unwrap());
        let running = first.run().await.unwrap();
        assert_eq!(second.run().await.err(), Some(ReadRefusal::Overloaded));
        drop(running);
        // The first response is still being sent: it needs no connection.
        assert!(second.run().await.is_ok());
        drop(first);
    }
}

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
    /// Maximum reads among `running` that belong to live tails.
    pub background: usize,
    /// Maximum wait of an admitted read before it runs.
    pub wait: Duration,
}

impl Default for ReadOptions {
    /// 8 running reads, 2 of them in the background, and 64 admitted ones; 2 seconds of waiting.
    fn default() -> Self {
        Self { running: 8, admitted: 64, background: 2, wait: Duration::from_secs(2) }
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
    background: Arc<Semaphore>,
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
pub struct RunningRead {
    _running: OwnedSemaphorePermit,
    /// Of a read in the background.
    _background: Option<OwnedSemaphorePermit>,
}

impl Reads {
    /// Starts without reads.
    #[must_use]
    pub fn new(options: &ReadOptions) -> Self {
        Self {
            shared: Arc::new(SharedReads {
                running: Arc::new(Semaphore::new(options.running)),
                admitted: Arc::new(Semaphore::new(options.admitted)),
                background: Arc::new(Semaphore::new(options.background)),
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

    /// Waits until a read of a live tail may run. It needs no admission, and yields to all admitted
    /// reads; but after the wait of an admitted read it takes its turn among them, so that a busy
    /// server delays tails and does not end them.
    ///
    /// # Errors
    /// [`ReadRefusal::Overloaded`] if its turn does not come either.
    pub async fn run_in_background(&self) -> Result<RunningRead, ReadRefusal> {
        const PAUSE: Duration = Duration::from_millis(50);
        let SharedReads { running, background, wait, .. } = &*self.shared;
        let background = Arc::clone(background).acquire_owned().await;
        // The semaphore is never closed.
        let background = background.map_err(|_| ReadRefusal::Overloaded)?;
        let queue_at = tokio::time::Instant::now() + *wait;
        let running = loop {
            // Fails while an admitted read waits.
            if let Ok(running) = Arc::clone(running).try_acquire_owned() {
                break running;
            }
            if tokio::time::Instant::now() >= queue_at {
                let queued = Arc::clone(running).acquire_owned();
                match tokio::time::timeout(*wait, queued).await {
                    Ok(Ok(running)) => break running,
                    Ok(Err(_)) | Err(_) => return Err(ReadRefusal::Overloaded),
                }
            }
            tokio::time::sleep(PAUSE).await;
        };
        Ok(RunningRead { _running: running, _background: Some(background) })
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
            Ok(Ok(running)) => Ok(RunningRead { _running: running, _background: None }),
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
        let wait = Duration::from_millis(20);
        Reads::new(&ReadOptions { running, admitted, background: 1, wait })
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

    #[tokio::test]
    async fn reads_of_tails_leave_room_and_yield() {
        let reads = reads(2, 8);
        let background = reads.run_in_background().await.unwrap();
        let (first, second) = (reads.admit(ONE, 4).unwrap(), reads.admit(OTHER, 4).unwrap());
        let running = first.run().await.unwrap();
        // The only one in the background ends before the next begins, though nothing else runs.
        let mut next = std::pin::pin!(reads.run_in_background());
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut next).await.is_err());
        drop(background);
        let other = second.run().await.unwrap();
        // Both run: the one in the background waits, takes its turn, and gives up.
        assert_eq!(next.await.err(), Some(ReadRefusal::Overloaded));
        drop((running, other));
        assert!(reads.run_in_background().await.is_ok());
    }
}

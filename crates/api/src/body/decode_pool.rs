//! Threads that decode bodies, so that no body holds up an HTTP thread.
//!
//! The queue is bounded. Tenants take turns, and one tenant can fill half of it: a tenant that sends
//! costly bodies delays another one's by a body per thread at most. All clients not known yet are in
//! the place of one tenant. Within it their networks take turns, and one can fill a quarter.

use super::budget::Payer;
use super::decode::{Coding, DecodeError};
use super::network::ClientNetwork;
use super::turns::Turns;
use actix_web::web::Bytes;
use mercurio_domain::TenantId;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Maximum bodies in the queue. At 10 ms each, the last one waits two and a half seconds per thread.
const MAX_QUEUED: usize = 256;

/// Maximum bodies of a tenant in the queue, or of all unknown clients together.
const MAX_QUEUED_OF_TENANT: usize = MAX_QUEUED / 2;

/// Maximum bodies of unknown clients of one network in the queue.
const MAX_QUEUED_OF_NETWORK: usize = MAX_QUEUED_OF_TENANT / 4;

/// A body to decode.
pub(super) struct Job {
    pub(super) payer: Payer,
    pub(super) coding: Coding,
    pub(super) data: Bytes,
    /// Maximum size of the result.
    pub(super) limit: usize,
}

/// Why a job has no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JobError {
    /// The queue is full.
    Full,
    /// The data was refused.
    Refused(DecodeError),
    /// The decoder panicked.
    Failed,
}

type Answer = oneshot::Sender<Result<Vec<u8>, DecodeError>>;

struct Pending {
    job: Job,
    answer: Answer,
}

/// A place in the line of a tenant, or in that of the unknown clients.
enum Place {
    Taken(Pending),
    /// For the unknown client whose turn it is then.
    Unknown,
}

#[derive(Default)]
struct Queue {
    /// `None`: the unknown clients.
    tenants: Turns<Option<TenantId>, Place>,
    /// As many as they have places in `tenants`.
    unknown: Turns<ClientNetwork, Pending>,
    len: usize,
    closed: bool,
}

impl Queue {
    fn push(&mut self, pending: Pending) -> Result<(), JobError> {
        let (tenant, network) = match pending.job.payer {
            Payer::Tenant(tenant) => (Some(tenant), None),
            Payer::Unknown(network) => (None, Some(network)),
        };
        let of_network = network.map_or(0, |network| self.unknown.waiting(network));
        if self.len >= MAX_QUEUED
            || self.tenants.waiting(tenant) >= MAX_QUEUED_OF_TENANT
            || of_network >= MAX_QUEUED_OF_NETWORK
        {
            return Err(JobError::Full);
        }
        if let Some(network) = network {
            self.unknown.push(network, pending);
            self.tenants.push(tenant, Place::Unknown);
        } else {
            self.tenants.push(tenant, Place::Taken(pending));
        }
        self.len += 1;
        Ok(())
    }

    /// Takes the first job of the payer whose turn it is.
    fn pop(&mut self) -> Option<Pending> {
        let pending = match self.tenants.pop()? {
            Place::Taken(pending) => Some(pending),
            Place::Unknown => self.unknown.pop(),
        };
        debug_assert!(pending.is_some(), "each place is a job's");
        self.len -= 1;
        pending
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signals a job, or the end.
    work: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Jobs run outside the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a job; `None` at the end.
    fn next(&self) -> Option<Pending> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            match queue.pop() {
                // The client has gone.
                Some(pending) if pending.answer.is_closed() => {}
                Some(pending) => return Some(pending),
                None => {
                    queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn run(&self) {
        while let Some(Pending { job, answer }) = self.next() {
            let Job { coding, data, limit, .. } = job;
            // The thread survives a defect in a decoder. The panic hook logs it, and the client gets
            // a 500 because the answer is dropped.
            if let Ok(decoded) = catch_unwind(AssertUnwindSafe(|| coding.decode(&data, limit))) {
                // Fails if the client has gone.
                answer.send(decoded).ok();
            }
        }
    }
}

/// The threads and their queue. Dropping it ends them.
pub(super) struct DecodePool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl DecodePool {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        let mut pool = Self { shared: Arc::default(), threads: Vec::with_capacity(threads) };
        for number in 0..threads {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name(format!("decode-{number}"));
            pool.threads.push(thread.spawn(move || shared.run())?);
        }
        Ok(pool)
    }

    /// Decodes a body. If the future is dropped, a job not yet begun is skipped.
    pub(super) async fn decode(&self, job: Job) -> Result<Vec<u8>, JobError> {
        let (answer, decoded) = oneshot::channel();
        self.shared.queue().push(Pending { job, answer })?;
        self.shared.work.notify_one();
        decoded.await.map_err(|_| JobError::Failed)?.map_err(JobError::Refused)
    }
}

impl Drop for DecodePool {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // It does not panic, see `run`.
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    type Decoded = oneshot::Receiver<Result<Vec<u8>, DecodeError>>;

    const fn tenant(id: i64) -> Payer {
        Payer::Tenant(TenantId(id))
    }

    /// The unknown clients of a network.
    fn unknown(number: u8) -> Payer {
        Payer::Unknown(IpAddr::from([203, 0, 113, number]).into())
    }

    fn pending(payer: Payer, limit: usize) -> (Pending, Decoded) {
        let (answer, decoded) = oneshot::channel();
        let data = Bytes::new();
        (Pending { job: Job { payer, coding: Coding::Gzip, data, limit }, answer }, decoded)
    }

    /// Adds jobs of these payers, numbered by their limits.
    fn queue_of(payers: &[Payer]) -> Queue {
        let mut queue = Queue::default();
        for (number, payer) in payers.iter().enumerate() {
            queue.push(pending(*payer, number).0).unwrap();
        }
        queue
    }

    #[test]
    fn tenants_take_turns_and_unknown_clients_as_one_of_them() {
        let (one, other) = (unknown(1), unknown(2));
        let mut queue = queue_of(&[tenant(1), tenant(1), one, one, other, tenant(2), tenant(1)]);
        let order: Vec<_> =
            std::iter::from_fn(|| queue.pop()).map(|pending| pending.job.limit).collect();
        assert_eq!(order, [0, 2, 5, 1, 4, 6, 3]);
        assert_eq!(queue.len, 0);
    }

    #[test]
    fn full_queue_refuses_and_leaves_half_to_others() {
        let mut queue = queue_of(&[tenant(1); MAX_QUEUED_OF_TENANT]);
        assert_eq!(queue.push(pending(tenant(1), 0).0), Err(JobError::Full));
        for id in 2..=129 {
            queue.push(pending(tenant(id), 0).0).unwrap();
        }
        assert_eq!(queue.push(pending(tenant(130), 0).0), Err(JobError::Full));
    }

    #[test]
    fn network_takes_a_quarter_of_the_places_of_unknown_clients() {
        let mut queue = queue_of(&[unknown(1); MAX_QUEUED_OF_NETWORK]);
        assert_eq!(queue.push(pending(unknown(1), 0).0), Err(JobError::Full));
        for number in 2..=4 {
            for _ in 0..MAX_QUEUED_OF_NETWORK {
                queue.push(pending(unknown(number), 0).0).unwrap();
            }
        }
        assert_eq!(queue.push(pending(unknown(5), 0).0), Err(JobError::Full));
        queue.push(pending(tenant(1), 0).0).unwrap();
    }

    #[test]
    fn job_of_a_gone_client_is_skipped() {
        let shared = Shared::default();
        let (gone, receiver) = pending(tenant(1), 0);
        drop(receiver);
        let (waiting, _receiver) = pending(tenant(1), 7);
        shared.queue().push(gone).unwrap();
        shared.queue().push(waiting).unwrap();
        assert_eq!(shared.next().map(|pending| pending.job.limit), Some(7));
    }

    fn job(data: &'static [u8]) -> Job {
        Job { payer: tenant(1), coding: Coding::Deflate, data: Bytes::from_static(data), limit: 10 }
    }

    #[tokio::test]
    async fn pool_decodes_and_ends_with_its_threads() {
        let pool = DecodePool::start(2).unwrap();
        // A stored block of raw deflate.
        assert_eq!(pool.decode(job(b"\x01\x02\x00\xfd\xff{}")).await, Ok(b"{}".to_vec()));
        let refused = pool.decode(job(b"x")).await;
        assert_eq!(refused, Err(JobError::Refused(DecodeError::Invalid)));
        let shared = Arc::downgrade(&pool.shared);
        drop(pool);
        assert!(shared.upgrade().is_none(), "a thread is left");
    }
}

//! Threads that decode bodies, so that no body holds up an HTTP thread.
//!
//! The queue is bounded. Tenants take turns, and one tenant can fill half of it: a tenant that sends
//! costly bodies delays another one's by a body per thread at most.

use super::budget::Payer;
use super::decode::{Coding, DecodeError};
use actix_web::web::Bytes;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Maximum bodies in the queue. At 10 ms each, the last one waits two and a half seconds per thread.
const MAX_QUEUED: usize = 256;

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

#[derive(Default)]
struct Queue {
    /// Only payers that wait.
    lines: HashMap<Payer, VecDeque<Pending>>,
    /// The payers of `lines`, in the order of their turns.
    ring: VecDeque<Payer>,
    len: usize,
    closed: bool,
}

impl Queue {
    fn push(&mut self, pending: Pending) -> Result<(), JobError> {
        let payer = pending.job.payer;
        let queued = self.lines.get(&payer).map_or(0, VecDeque::len);
        if self.len >= MAX_QUEUED || queued >= MAX_QUEUED / 2 {
            return Err(JobError::Full);
        }
        if queued == 0 {
            self.ring.push_back(payer);
        }
        self.lines.entry(payer).or_default().push_back(pending);
        self.len += 1;
        Ok(())
    }

    /// Takes the first job of the payer whose turn it is.
    fn pop(&mut self) -> Option<Pending> {
        let payer = self.ring.pop_front()?;
        let line = self.lines.get_mut(&payer)?;
        let pending = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(&payer);
        } else {
            self.ring.push_back(payer);
        }
        self.len -= 1;
        Some(pending)
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
    use mercurio_domain::TenantId;

    fn pending(
        tenant: i64,
        limit: usize,
    ) -> (Pending, oneshot::Receiver<Result<Vec<u8>, DecodeError>>) {
        let (answer, decoded) = oneshot::channel();
        let (payer, data) = (Payer::Tenant(TenantId(tenant)), Bytes::new());
        (Pending { job: Job { payer, coding: Coding::Gzip, data, limit }, answer }, decoded)
    }

    /// Adds jobs of these tenants, numbered by their limits.
    fn queue_of(tenants: &[i64]) -> Queue {
        let mut queue = Queue::default();
        for (number, tenant) in tenants.iter().enumerate() {
            queue.push(pending(*tenant, number).0).unwrap();
        }
        queue
    }

    #[test]
    fn tenants_take_turns() {
        let mut queue = queue_of(&[1, 1, 1, 2, 1, 3, 2]);
        let order: Vec<_> =
            std::iter::from_fn(|| queue.pop()).map(|pending| pending.job.limit).collect();
        assert_eq!(order, [0, 3, 5, 1, 6, 2, 4]);
        assert!(queue.lines.is_empty() && queue.ring.is_empty() && queue.len == 0);
    }

    #[test]
    fn full_queue_refuses_and_leaves_half_to_others() {
        let mut queue = queue_of(&[1; MAX_QUEUED / 2]);
        assert_eq!(queue.push(pending(1, 0).0), Err(JobError::Full));
        for tenant in 2..=129 {
            queue.push(pending(tenant, 0).0).unwrap();
        }
        assert_eq!(queue.push(pending(130, 0).0), Err(JobError::Full));
    }

    #[test]
    fn job_of_a_gone_client_is_skipped() {
        let shared = Shared::default();
        let (gone, receiver) = pending(1, 0);
        drop(receiver);
        let (waiting, _receiver) = pending(1, 7);
        shared.queue().push(gone).unwrap();
        shared.queue().push(waiting).unwrap();
        assert_eq!(shared.next().map(|pending| pending.job.limit), Some(7));
    }

    fn job(data: &'static [u8]) -> Job {
        let (payer, data) = (Payer::Unknown, Bytes::from_static(data));
        Job { payer, coding: Coding::Deflate, data, limit: 10 }
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

//! Tokio's oneshot channel. It needs no runtime, so the simulation uses it as it is, and adds a
//! switch between threads before each answer, and a record of the answers.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use shuttle::thread::{self, ThreadId};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;

thread_local! {
    // One per run: shuttle runs all simulated threads on one real thread.
    static DELIVERIES: RefCell<Vec<Arc<Delivery>>> = RefCell::default();
}

/// The way of one answer to its client.
#[derive(Debug)]
pub struct Delivery {
    client: ThreadId,
    is_awaited: AtomicBool,
    is_sent: AtomicBool,
}

impl Delivery {
    fn is_missing(&self) -> bool {
        self.is_awaited.load(Ordering::Relaxed) && !self.is_sent()
    }

    /// Whether the writer has sent the answer.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.is_sent.load(Ordering::Relaxed)
    }
}

/// Returns the delivery of the newest submission of the current simulated thread.
#[must_use]
pub fn last_delivery() -> Option<Arc<Delivery>> {
    let me = thread::current().id();
    DELIVERIES.with_borrow(|all| all.iter().rfind(|delivery| delivery.client == me).cloned())
}

/// Number of queued submissions without an answer. Submissions of disconnected clients count.
#[must_use]
pub fn unanswered() -> usize {
    DELIVERIES.with_borrow(|all| all.iter().filter(|delivery| delivery.is_missing()).count())
}

/// Forgets the deliveries of the last run.
pub(crate) fn reset() {
    DELIVERIES.take();
}

pub(crate) struct Sender<T> {
    inner: oneshot::Sender<T>,
    delivery: Arc<Delivery>,
}

pub(crate) struct Receiver<T> {
    inner: oneshot::Receiver<T>,
    delivery: Arc<Delivery>,
}

pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    let delivery = Arc::new(Delivery {
        client: thread::current().id(),
        is_awaited: AtomicBool::new(false),
        is_sent: AtomicBool::new(false),
    });
    DELIVERIES.with_borrow_mut(|all| all.push(Arc::clone(&delivery)));
    (
        Sender { inner: sender, delivery: Arc::clone(&delivery) },
        Receiver { inner: receiver, delivery },
    )
}

impl<T> Sender<T> {
    pub(crate) fn send(self, value: T) -> Result<(), T> {
        thread::yield_now();
        self.delivery.is_sent.store(true, Ordering::Relaxed);
        self.inner.send(value)
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.delivery.is_awaited.store(true, Ordering::Relaxed);
        let received = ready!(Pin::new(&mut self.inner).poll(context));
        // The writer would answer `Unavailable`, and hide the error.
        assert!(received.is_ok(), "a queued submission was dropped without an answer");
        Poll::Ready(received)
    }
}

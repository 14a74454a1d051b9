//! A thread that follows changes of the catalog, so that [`KeyCache`] removes changed keys, writes
//! the uses of keys, and receives the texts of other servers for live tails.
//!
//! The store reports each change. Changes during a disconnection are unknown, so the cache is
//! cleared once the listener is connected again. Until then the lifetime of cached keys bounds
//! their age.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mercurio_domain::store::{self, CatalogChange, Store, StoreError};
use mercurio_observability::{chain, keys};
use slog::{Logger, debug, info, warn};

use crate::key_cache::KeyCache;
use crate::key_uses::KeyUses;
use crate::tail::TailHub;

/// Maximum time the thread listens before it checks whether to stop.
const LISTEN: Duration = Duration::from_millis(200);
/// Interval between two writes of key uses.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Pause before the next attempt to listen.
const RETRY: Duration = Duration::from_millis(500);

/// A handle of the thread. Dropping it stops the thread.
pub struct CatalogFollower {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct FollowerThread {
    store: Arc<dyn Store>,
    keys: KeyCache,
    uses: Arc<KeyUses>,
    tails: TailHub,
    log: Logger,
    stop: Arc<AtomicBool>,
    written_at: Instant,
}

impl CatalogFollower {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub fn start(
        store: Arc<dyn Store>,
        keys: KeyCache,
        uses: Arc<KeyUses>,
        tails: TailHub,
        log: Logger,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let thread_stop = Arc::clone(&stop);
        let mut follower = FollowerThread {
            store,
            keys,
            uses,
            tails,
            log,
            stop: thread_stop,
            written_at: Instant::now(),
        };
        let builder = std::thread::Builder::new().name("catalog-follower".to_owned());
        let thread = builder.spawn(move || follower.run())?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for CatalogFollower {
    /// Waits until the thread has written the last uses.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged when it happened.
            thread.join().ok();
        }
    }
}

impl FollowerThread {
    fn run(&mut self) {
        let mut is_disconnected = false;
        while !self.is_stopped() {
            let result = match self.store.listen() {
                Ok(mut listener) => {
                    if is_disconnected {
                        info!(self.log, "catalog listener reconnected");
                    }
                    is_disconnected = false;
                    // Changes before this moment are unknown.
                    self.keys.forget(&CatalogChange::Anything);
                    self.tails.resume();
                    self.listen(listener.as_mut())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                if !is_disconnected {
                    warn!(self.log, "catalog listener disconnected"; keys::ERROR => chain(&error));
                }
                is_disconnected = true;
                // The pause bounds the attempts on an unavailable database.
                std::thread::sleep(RETRY);
            }
        }
        self.write_uses();
    }

    /// Listens until the thread is stopped.
    fn listen(&mut self, listener: &mut dyn store::CatalogListener) -> Result<(), StoreError> {
        while !self.is_stopped() {
            // The wait also bounds the time until a stop is noticed.
            for change in listener.next(LISTEN)? {
                debug!(self.log, "catalog changed"; keys::CHANGE => ?change);
                self.keys.forget(&change);
            }
            for text in listener.take_tail() {
                self.tails.receive(&text);
            }
            if self.written_at.elapsed() >= WRITE_EVERY {
                self.write_uses();
                self.written_at = Instant::now();
            }
        }
        Ok(())
    }

    fn write_uses(&self) {
        let uses = self.uses.take();
        if uses.is_empty() {
            return;
        }
        // The uses are written later, and requests report the outage.
        if let Err(error) = self.store.note_key_uses(&uses) {
            debug!(self.log, "key uses not written"; keys::ERROR => chain(&error));
            self.uses.give_back(uses);
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

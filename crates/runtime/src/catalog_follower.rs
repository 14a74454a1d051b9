//! One thread that hears what admins change, so that caches forget it, and that writes when keys were used.
//!
//! Where the database is lost, everything is forgotten once it is back: nobody knows what changed meanwhile. Until then the
//! short lifetime of what is cached bounds how old it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mercurio_domain::store::{self, CatalogChange, Store, StoreError};
use mercurio_observability::{chain, keys};
use slog::{Logger, debug, info, warn};

use crate::key_cache::KeyCache;
use crate::key_uses::KeyUses;

/// How long the thread listens before it looks whether it is to end.
const LISTEN: Duration = Duration::from_millis(200);
/// How often uses of keys are written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How long the thread waits for a database that is away.
const AWAY: Duration = Duration::from_millis(500);

/// The thread. Dropping it ends it.
pub struct CatalogWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Watching {
    store: Arc<dyn Store>,
    keys: KeyCache,
    uses: Arc<KeyUses>,
    log: Logger,
    stop: Arc<AtomicBool>,
    wrote_at: Instant,
}

impl CatalogWatch {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(
        store: Arc<dyn Store>,
        keys: KeyCache,
        uses: Arc<KeyUses>,
        log: Logger,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut watching =
            Watching { store, keys, uses, log, stop: Arc::clone(&stop), wrote_at: Instant::now() };
        let thread = std::thread::Builder::new()
            .name("catalog-watch".to_owned())
            .spawn(move || watching.run())?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for CatalogWatch {
    /// Waits for the thread, which writes the last uses.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Watching {
    fn run(&mut self) {
        let mut was_away = false;
        while !self.is_stopped() {
            let lost = match self.store.listen() {
                Ok(mut watch) => {
                    if was_away {
                        info!(self.log, "the catalogue is watched again");
                    }
                    was_away = false;
                    // What changed before the watch began is unknown.
                    self.keys.forget(&CatalogChange::Anything);
                    self.listen(watch.as_mut())
                }
                Err(error) => Some(error),
            };
            if let Some(error) = lost {
                if !was_away {
                    warn!(self.log, "the catalogue can't be watched; changes are noticed later"; keys::ERROR => chain(&error));
                }
                was_away = true;
                std::thread::sleep(AWAY);
            }
        }
        self.write_uses();
    }

    /// Listens until told to stop, or until the database is lost.
    fn listen(&mut self, watch: &mut dyn store::CatalogListener) -> Option<StoreError> {
        while !self.is_stopped() {
            match watch.next(LISTEN) {
                Ok(changes) => {
                    for change in &changes {
                        debug!(self.log, "the catalogue has changed"; keys::CHANGE => ?change);
                        self.keys.forget(change);
                    }
                }
                Err(error) => return Some(error),
            }
            if self.wrote_at.elapsed() >= WRITE_EVERY {
                self.write_uses();
                self.wrote_at = Instant::now();
            }
        }
        None
    }

    fn write_uses(&self) {
        let uses = self.uses.take();
        if uses.is_empty() {
            return;
        }
        if let Err(error) = self.store.note_key_uses(&uses) {
            debug!(self.log, "the last uses of keys could not be written"; keys::ERROR => chain(&error));
            self.uses.give_back(uses);
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

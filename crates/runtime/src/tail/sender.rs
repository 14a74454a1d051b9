//! A thread that sends the texts of a hub to the other servers. Not on SQLite, where one process
//! writes.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use mercurio_domain::store::Store;
use mercurio_observability::{chain, keys};
use slog::{Logger, info, warn};

use super::hub::TailHub;

/// Pause after each send, which lets texts gather.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause after a failed send.
const RETRY: Duration = Duration::from_secs(1);

/// A handle of the thread. Dropping it stops the thread, and closes the hub.
pub struct TailSender {
    hub: TailHub,
    thread: Option<JoinHandle<()>>,
}

impl TailSender {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub fn start(store: Arc<dyn Store>, hub: TailHub, log: Logger) -> std::io::Result<Self> {
        hub.expect_sender();
        let thread_hub = hub.clone();
        let builder = std::thread::Builder::new().name("tail-sender".to_owned());
        let thread = builder.spawn(move || run(store.as_ref(), &thread_hub, &log))?;
        Ok(Self { hub, thread: Some(thread) })
    }
}

impl Drop for TailSender {
    fn drop(&mut self) {
        self.hub.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged when it happened.
            thread.join().ok();
        }
    }
}

fn run(store: &dyn Store, hub: &TailHub, log: &Logger) {
    let mut is_failing = false;
    while let Some(outgoing) = hub.next_outgoing() {
        match store.notify_tail(&outgoing.texts) {
            Ok(()) => {
                if is_failing {
                    info!(log, "tail notices sent again");
                }
                is_failing = false;
                std::thread::sleep(PAUSE);
            }
            Err(error) => {
                // Tails of other servers find accepted events by looking now and then; notices are
                // live only.
                if !is_failing {
                    warn!(log, "tail notices not sent"; keys::ERROR => chain(&error));
                }
                is_failing = true;
                hub.note_lost(outgoing.notices);
                std::thread::sleep(RETRY);
            }
        }
    }
}

//! What has happened for a subscription since its last look, in bounded memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::message::Missed;
use super::notice::{Notice, NoticeStatus};

/// Maximum notices that wait for a slow subscriber.
const MAX_NOTICES: usize = 200;

/// What has happened since the last look.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Events may have been accepted: read the feed.
    pub is_woken: bool,
    /// Duplicates and rejected events, oldest first.
    pub notices: VecDeque<Arc<Notice>>,
    /// Others that were not passed on.
    pub missed: Missed,
    /// The server ends all tails.
    pub is_closed: bool,
}

/// The state that a subscription shares with its hub.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    delivery: Mutex<Delivery>,
    changed: Notify,
}

impl Inbox {
    pub(super) fn take(&self) -> Delivery {
        let mut delivery = self.lock();
        let is_closed = delivery.is_closed;
        // Stays: each later look finds the end too.
        std::mem::replace(&mut *delivery, Delivery { is_closed, ..Delivery::default() })
    }

    /// Waits until something happens; not at all if something has since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Delivery> {
        self.delivery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) {
        self.lock().is_woken = true;
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Returns the number of notices that no longer had room.
    pub(super) fn deliver(&self, is_woken: bool, notices: &[Arc<Notice>], missed: Missed) -> u64 {
        let mut delivery = self.lock();
        delivery.is_woken |= is_woken;
        delivery.missed.add(missed);
        let mut lost = Missed::default();
        for notice in notices {
            if delivery.notices.len() < MAX_NOTICES {
                delivery.notices.push_back(Arc::clone(notice));
                continue;
            }
            match notice.status {
                NoticeStatus::Duplicate => lost.duplicates += 1,
                NoticeStatus::Rejected => lost.rejected += 1,
            }
        }
        delivery.missed.add(lost);
        drop(delivery);
        self.changed.notify_one();
        lost.total()
    }
}

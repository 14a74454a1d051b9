//! What pages of events and of rejected events have in common.

use crate::limits::MAX_PAGE_BYTES;

/// The items of a page, up to its limit and [`MAX_PAGE_BYTES`].
///
/// A page has at least one item if there is any, so that cursors always advance.
#[derive(Debug)]
pub(super) struct PageItems<T> {
    limit: usize,
    items: Vec<T>,
    bytes: usize,
    has_more: bool,
}

impl<T> PageItems<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, items: Vec::new(), bytes: 0, has_more: false }
    }

    /// Adds an item of this size if there is room for it. Returns whether there was: otherwise it is the
    /// first of the next page.
    pub(super) fn push(&mut self, item: T, bytes: usize) -> bool {
        let bytes = self.bytes + bytes;
        let is_too_large = bytes > MAX_PAGE_BYTES && !self.items.is_empty();
        if self.items.len() >= self.limit || is_too_large {
            self.has_more = true;
            return false;
        }
        self.bytes = bytes;
        self.items.push(item);
        true
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.items.last()
    }

    /// Number of further items that fit, if they are as large as those so far on average.
    pub(super) fn room(&self) -> usize {
        let average = (self.bytes / self.items.len().max(1)).max(1);
        (MAX_PAGE_BYTES.saturating_sub(self.bytes) / average).min(self.limit - self.items.len())
    }

    /// Notes that more items follow.
    pub(super) fn cut(&mut self) {
        self.has_more = true;
    }

    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }
}

//! Lines that take turns.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Items in lines, one for each key. The first item of each line comes in turn.
pub(super) struct Turns<K, T> {
    /// Only lines with items.
    lines: HashMap<K, VecDeque<T>>,
    /// The keys of `lines`, in the order of their turns.
    ring: VecDeque<K>,
}

// Derived, it would need defaults of the key and the item.
impl<K, T> Default for Turns<K, T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), ring: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, T> Turns<K, T> {
    /// Returns the length of a line.
    pub(super) fn waiting(&self, key: K) -> usize {
        self.lines.get(&key).map_or(0, VecDeque::len)
    }

    /// Adds an item to the end of a line.
    pub(super) fn push(&mut self, key: K, item: T) {
        let line = self.lines.entry(key).or_default();
        if line.is_empty() {
            self.ring.push_back(key);
        }
        line.push_back(item);
    }

    /// Takes the first item of the line whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let key = self.ring.pop_front()?;
        let line = self.lines.get_mut(&key)?;
        let item = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&key);
        } else {
            self.ring.push_back(key);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_take_turns_and_leave_nothing_behind() {
        let mut turns = Turns::default();
        for (item, key) in ["a", "a", "a", "b", "a", "c", "b"].into_iter().enumerate() {
            turns.push(key, item);
        }
        assert_eq!((turns.waiting("a"), turns.waiting("c"), turns.waiting("d")), (4, 1, 0));
        let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, [0, 3, 5, 1, 6, 2, 4]);
        assert!(turns.lines.is_empty() && turns.ring.is_empty());
    }
}

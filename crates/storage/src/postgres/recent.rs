//! A memory of the keys that were stored lately. It only guesses: what it remembers is *likely* to be in the database, what
//! it does not remember likely not. The database's constraint decides either way; the guess chooses the cheaper way there.
//!
//! A key is remembered by 32 bits of a hash, in one of two generations. When the younger one is full it becomes the older
//! one, and what that held is forgotten: between half a million and a million keys, in 8 MiB.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use mercurio_domain::{EventKey, TenantId};

/// Slots of a generation, a power of two. Half of them are filled at most, so that a search is short.
const SLOTS: usize = 1 << 20;

/// Keys that were stored lately, by any lane of this process. They must be remembered after their commit and never before:
/// else a lane would take for stored what is still to be rolled back, which costs it a detour.
pub(super) struct RecentKeys {
    /// With a seed of its own, so that nobody can send keys that meet in one place.
    hasher: RandomState,
    generations: Mutex<[Generation; 2]>,
}

impl Default for RecentKeys {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            generations: Mutex::new([Generation::new(SLOTS), Generation::new(SLOTS)]),
        }
    }
}

impl RecentKeys {
    /// Which of `keys` are likely to be stored: as many answers as keys, in their order.
    pub(super) fn seen(&self, keys: impl Iterator<Item = (TenantId, EventKey)>) -> Vec<bool> {
        let hashes: Vec<u64> = keys.map(|key| self.hash(key)).collect();
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        hashes
            .into_iter()
            .map(|hash| generations.iter().any(|generation| generation.contains(hash)))
            .collect()
    }

    /// Remembers keys that are stored.
    pub(super) fn remember(&self, keys: impl Iterator<Item = (TenantId, EventKey)>) {
        let hashes: Vec<u64> = keys.map(|key| self.hash(key)).collect();
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for hash in hashes {
            if generations[0].is_full() {
                generations.swap(0, 1);
                generations[0] = Generation::new(SLOTS);
            }
            generations[0].insert(hash);
        }
    }

    fn hash(&self, (tenant_id, EventKey(key)): (TenantId, EventKey)) -> u64 {
        self.hasher.hash_one((tenant_id.0, key.as_u128()))
    }
}

/// A set of hashes with open addressing and linear probing. The low bits of a hash name the slot, the high ones are kept.
struct Generation {
    slots: Box<[u32]>,
    used: usize,
}

impl Generation {
    fn new(slots: usize) -> Self {
        Self { slots: vec![0; slots].into_boxed_slice(), used: 0 }
    }

    fn is_full(&self) -> bool {
        self.used * 2 >= self.slots.len()
    }

    /// Where the hash stands, or the empty slot where it would.
    fn place(&self, hash: u64) -> (usize, u32) {
        let mask = self.slots.len() - 1;
        // Zero is an empty slot.
        let kept = ((hash >> 32) as u32).max(1);
        let mut place = hash as usize & mask;
        while self.slots[place] != 0 && self.slots[place] != kept {
            place = (place + 1) & mask;
        }
        (place, kept)
    }

    fn contains(&self, hash: u64) -> bool {
        let (place, kept) = self.place(hash);
        self.slots[place] == kept
    }

    fn insert(&mut self, hash: u64) {
        let (place, kept) = self.place(hash);
        self.used += usize::from(self.slots[place] == 0);
        self.slots[place] = kept;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> (TenantId, EventKey) {
        (TenantId(1), EventKey(Uuid::from_u128(number)))
    }

    fn seen(recent: &RecentKeys, numbers: impl Iterator<Item = u128>) -> usize {
        recent.seen(numbers.map(key)).into_iter().filter(|seen| *seen).count()
    }

    #[test]
    fn what_was_stored_is_seen_and_of_its_tenant_alone() {
        let recent = RecentKeys::default();
        recent.remember((0..1_000).map(key));
        assert_eq!(seen(&recent, 0..1_000), 1_000);
        assert_eq!(seen(&recent, 1_000..100_000), 0);
        assert_eq!(recent.seen([(TenantId(2), key(1).1), key(1)].into_iter()), [false, true]);
    }

    #[test]
    fn the_last_half_million_is_remembered_and_the_memory_does_not_grow() {
        let recent = RecentKeys::default();
        let (half, sent) = (SLOTS as u128 / 2, SLOTS as u128 * 2);
        for start in (0..sent).step_by(1_000) {
            recent.remember((start..start + 1_000).map(key));
        }
        assert_eq!(seen(&recent, sent - half..sent), SLOTS / 2);
        assert!(seen(&recent, 0..half) < 1_000, "the oldest are forgotten");
        let generations = recent.generations.lock().unwrap();
        assert!(
            generations
                .iter()
                .all(|generation| generation.slots.len() == SLOTS && generation.used <= SLOTS / 2)
        );
    }
}

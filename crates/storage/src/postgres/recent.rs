//! A cache of recently stored keys, to predict duplicates.
//!
//! A wrong prediction costs time but no correctness: the database's unique constraint decides. Keys
//! predicted new are copied, which costs about half of claiming them but fails as a whole on a
//! duplicate; keys predicted stored are claimed.
//!
//! A key is kept as 32 bits of a keyed hash, in one of two generations. When the younger is full it
//! becomes the older, whose keys are dropped. So it holds half a million to a million keys in 8
//! MiB.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use crate::verdicts::TenantKey;

/// Slots of a generation, a power of two. At most half are filled, to keep probing short.
const SLOTS: usize = 1 << 20;

/// Keys stored recently by any writer thread of this process.
///
/// Add keys only after their commit. A key whose transaction rolls back later would be predicted
/// wrong.
pub(super) struct RecentKeys {
    /// Randomly seeded, so that clients can't choose colliding keys.
    hasher: RandomState,
    generations: Mutex<Generations>,
}

struct Generations {
    young: Generation,
    old: Generation,
}

impl Default for RecentKeys {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            generations: Mutex::new(Generations {
                young: Generation::new(SLOTS),
                old: Generation::new(SLOTS),
            }),
        }
    }
}

impl RecentKeys {
    /// For each key, in order, whether it is likely stored.
    pub(super) fn contains_each(&self, keys: impl Iterator<Item = TenantKey>) -> Vec<bool> {
        // Hashed before the lock, which all writer threads share.
        let hashes: Vec<u64> = keys.map(|key| self.hash(key)).collect();
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { young, old } = &*generations;
        hashes.into_iter().map(|hash| young.contains(hash) || old.contains(hash)).collect()
    }

    /// Adds stored keys.
    pub(super) fn remember(&self, keys: impl Iterator<Item = TenantKey>) {
        let hashes: Vec<u64> = keys.map(|key| self.hash(key)).collect();
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for hash in hashes {
            // Before the insertion: a full table would make probing endless.
            if generations.young.is_full() {
                generations.old = std::mem::replace(&mut generations.young, Generation::new(SLOTS));
            }
            generations.young.insert(hash);
        }
    }

    fn hash(&self, key: TenantKey) -> u64 {
        // SipHash, keyed: clients choose event ids and thereby keys.
        self.hasher.hash_one((key.tenant_id.0, key.key.0.as_u128()))
    }
}

/// A set of hashes with open addressing and linear probing. The low bits of a hash select the slot,
/// the high bits are stored.
struct Generation {
    slots: Box<[u32]>,
    used: usize,
}

impl Generation {
    fn new(slots: usize) -> Self {
        Self { slots: vec![0; slots].into_boxed_slice(), used: 0 }
    }

    fn is_full(&self) -> bool {
        // Linear probing slows down sharply beyond half.
        self.used * 2 >= self.slots.len()
    }

    /// Finds the slot of the hash, or the empty slot for it.
    fn slot(&self, hash: u64) -> Slot {
        let mask = self.slots.len() - 1;
        // Zero marks an empty slot.
        let value = ((hash >> 32) as u32).max(1);
        // The low 20 bits; the stored value is the high 32, so the two are independent.
        let mut index = hash as usize & mask;
        while self.slots[index] != 0 && self.slots[index] != value {
            index = (index + 1) & mask;
        }
        Slot { index, value }
    }

    fn contains(&self, hash: u64) -> bool {
        let Slot { index, value } = self.slot(hash);
        self.slots[index] == value
    }

    fn insert(&mut self, hash: u64) {
        debug_assert!(!self.is_full(), "probing needs empty slots");
        let Slot { index, value } = self.slot(hash);
        // A key stored twice fills one slot.
        self.used += usize::from(self.slots[index] == 0);
        self.slots[index] = value;
    }
}

/// The slot of a hash, and the value to store in it.
struct Slot {
    index: usize,
    value: u32,
}

#[cfg(test)]
mod tests {
    use mercurio_domain::{EventKey, TenantId};
    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> TenantKey {
        TenantKey { tenant_id: TenantId(1), key: EventKey(Uuid::from_u128(number)) }
    }

    fn seen(recent: &RecentKeys, numbers: impl Iterator<Item = u128>) -> usize {
        recent.contains_each(numbers.map(key)).into_iter().filter(|seen| *seen).count()
    }

    #[test]
    fn stored_key_is_found_for_its_tenant_only() {
        let recent = RecentKeys::default();
        recent.remember((0..1_000).map(key));
        assert_eq!(seen(&recent, 0..1_000), 1_000);
        // A false positive needs 32 equal bits in neighboring slots.
        assert_eq!(seen(&recent, 1_000..100_000), 0);
        let of_other_tenant = TenantKey { tenant_id: TenantId(2), ..key(1) };
        let found = recent.contains_each([of_other_tenant, key(1)].into_iter());
        assert_eq!(found, [false, true]);
    }

    #[test]
    fn cache_keeps_half_a_million_keys_in_bounded_memory() {
        let recent = RecentKeys::default();
        let (half, sent) = (SLOTS as u128 / 2, SLOTS as u128 * 2);
        for start in (0..sent).step_by(1_000) {
            recent.remember((start..start + 1_000).map(key));
        }
        assert_eq!(seen(&recent, sent - half..sent), SLOTS / 2);
        // Not 0: equal hashes in a filled table find a few by chance.
        assert!(seen(&recent, 0..half) < 1_000, "the oldest are forgotten");
        let generations = recent.generations.lock().unwrap();
        for generation in [&generations.young, &generations.old] {
            assert_eq!(generation.slots.len(), SLOTS);
            assert!(generation.used <= SLOTS / 2);
        }
    }
}

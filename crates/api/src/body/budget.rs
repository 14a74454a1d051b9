//! The memory of request bodies in flight: bounded for the server, for each tenant to half of it, and
//! for all clients not known yet to a quarter.
//!
//! Bytes are charged as they arrive, not as announced: a client that announces a large body and
//! sends nothing takes nothing.

use mercurio_domain::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who pays for the memory of a body, and takes its turn in the decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payer {
    /// The tenant of the request's key.
    Tenant(TenantId),
    /// All clients whose key is in the body, together: they have less room, and one turn.
    Unknown,
}

impl Payer {
    /// The part of the whole that the payer may take: one in this many.
    fn share(self) -> usize {
        match self {
            Self::Tenant(_) => 2,
            Self::Unknown => 4,
        }
    }
}

/// The bytes that bodies may take, and those they take.
pub(super) struct Budget {
    max_bytes: usize,
    usage: Mutex<Usage>,
}

#[derive(Default)]
struct Usage {
    bytes: usize,
    /// Only payers with bodies in flight.
    payers: HashMap<Payer, usize>,
}

/// No room for these bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfRoom;

impl Budget {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, usage: Mutex::default() }
    }

    /// Returns the bytes taken now.
    pub(super) fn used(&self) -> usize {
        self.usage().bytes
    }

    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Returns the largest body that fits together with its coded form, while its payer has no other.
    pub(super) fn largest_body(&self, payer: Payer) -> usize {
        self.max_bytes / payer.share() / 2
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        // Nothing can panic between two changes of the counts.
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of one request. Dropping it gives them back.
pub(super) struct Charge {
    budget: Arc<Budget>,
    payer: Payer,
    bytes: usize,
}

impl Charge {
    pub(super) fn new(budget: &Arc<Budget>, payer: Payer) -> Self {
        Self { budget: Arc::clone(budget), payer, bytes: 0 }
    }

    /// Takes `bytes` more.
    ///
    /// # Errors
    /// The server or the payer has no room for them. Nothing was taken.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), OutOfRoom> {
        // Keeps payers without bytes out of the map.
        if bytes == 0 {
            return Ok(());
        }
        let max = self.budget.max_bytes;
        let mut usage = self.budget.usage();
        let of_payer = usage.payers.get(&self.payer).copied().unwrap_or_default();
        if usage.bytes + bytes > max || of_payer + bytes > max / self.payer.share() {
            return Err(OutOfRoom);
        }
        usage.bytes += bytes;
        usage.payers.insert(self.payer, of_payer + bytes);
        self.bytes += bytes;
        Ok(())
    }

    /// Lets another payer take all of it.
    ///
    /// # Errors
    /// The other has no room. Nothing changes then.
    pub(super) fn pass_to(&mut self, payer: Payer) -> Result<(), OutOfRoom> {
        let bytes = self.bytes;
        // First, so that the other payer's limit holds; the server's is not asked for more.
        self.give_back(bytes);
        let before = std::mem::replace(&mut self.payer, payer);
        self.add(bytes).inspect_err(|OutOfRoom| {
            self.payer = before;
            // Another body may have taken the room: then this one ends now, without it.
            self.add(bytes).ok();
        })
    }

    /// Gives `bytes` back.
    pub(super) fn give_back(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes);
        let mut usage = self.budget.usage();
        usage.bytes -= bytes;
        if let Some(of_payer) = usage.payers.get_mut(&self.payer) {
            *of_payer -= bytes;
            if *of_payer == 0 {
                usage.payers.remove(&self.payer);
            }
        }
        drop(usage);
        self.bytes -= bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_takes_half_and_the_server_the_rest() {
        let budget = Arc::new(Budget::new(100));
        let of = |tenant| Charge::new(&budget, Payer::Tenant(TenantId(tenant)));
        let (mut first, mut second, mut third) = (of(1), of(1), of(2));
        assert_eq!(first.add(30), Ok(()));
        assert_eq!(second.add(21), Err(OutOfRoom), "over the tenant's half");
        assert_eq!(second.add(20), Ok(()));
        assert_eq!(third.add(50), Ok(()));
        assert_eq!(of(3).add(1), Err(OutOfRoom), "over the whole");
        assert_eq!(budget.used(), 100);
    }

    #[test]
    fn dropped_charge_returns_all_it_has() {
        let budget = Arc::new(Budget::new(100));
        let mut charge = Charge::new(&budget, Payer::Unknown);
        charge.add(20).unwrap();
        charge.give_back(15);
        charge.add(15).unwrap();
        assert_eq!(budget.used(), 20);
        drop(charge);
        assert_eq!(budget.used(), 0);
        assert!(budget.usage().payers.is_empty(), "no entry is left behind");
    }

    #[test]
    fn unknown_clients_share_a_quarter_until_they_are_known() {
        let budget = Arc::new(Budget::new(100));
        let unknown = || Charge::new(&budget, Payer::Unknown);
        let (mut first, mut second) = (unknown(), unknown());
        assert_eq!(first.add(15), Ok(()));
        assert_eq!(second.add(11), Err(OutOfRoom), "over a quarter");
        assert_eq!(budget.largest_body(Payer::Unknown), 12);
        let known = Payer::Tenant(TenantId(1));
        assert_eq!(first.pass_to(known), Ok(()));
        assert_eq!(second.add(25), Ok(()));
        // The tenant has no room for more than half.
        let mut third = Charge::new(&budget, known);
        third.add(30).unwrap();
        assert_eq!(second.pass_to(known), Err(OutOfRoom));
        assert_eq!(budget.used(), 70);
        drop((first, second, third));
        assert!(budget.usage().payers.is_empty());
    }
}

//! The memory of request bodies in flight: bounded for the server, for each tenant to half of it, for
//! all clients not known yet to a quarter, and for those of one network to a sixteenth.
//!
//! Bytes are charged as they arrive, not as announced: a client that announces a large body and
//! sends nothing takes nothing.

use super::network::ClientNetwork;
use mercurio_domain::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who pays for the memory of a body, and takes its turn in the decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payer {
    /// The tenant of the request's key.
    Tenant(TenantId),
    /// A client whose key is in the body, by its network. All of these have less room together, and
    /// one turn.
    Unknown(ClientNetwork),
}

/// All unknown clients together have one in this many bytes.
const UNKNOWN_SHARE: usize = 4;

impl Payer {
    /// The part of the whole that the payer may take: one in this many.
    fn share(self) -> usize {
        match self {
            Self::Tenant(_) => 2,
            // Four networks fill the room of all. Many browsers behind one address still fit: theirs
            // are small, and arrive at once.
            Self::Unknown(_) => UNKNOWN_SHARE * 4,
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
    /// Those of unknown clients.
    unknown: usize,
    /// Only payers with bodies in flight.
    payers: HashMap<Payer, usize>,
}

impl Usage {
    fn of(&self, payer: Payer) -> usize {
        self.payers.get(&payer).copied().unwrap_or_default()
    }

    /// Changes the bytes of a payer, and the sums.
    fn set(&mut self, payer: Payer, bytes: usize) {
        let before = self.of(payer);
        self.bytes = self.bytes - before + bytes;
        if let Payer::Unknown(_) = payer {
            self.unknown = self.unknown - before + bytes;
        }
        if bytes == 0 {
            self.payers.remove(&payer);
        } else {
            self.payers.insert(payer, bytes);
        }
    }
}

/// The bound that a body met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The memory for all bodies.
    Server,
    /// The part of one tenant.
    Tenant,
    /// The part of all unknown clients.
    Unknown,
    /// The part of the unknown clients of one network.
    Network,
    /// The queue of bodies to decode, or a payer's part of it.
    Decoding,
}

impl Bound {
    /// Returns the name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Tenant => "tenant",
            Self::Unknown => "unknown",
            Self::Network => "network",
            Self::Decoding => "decoding",
        }
    }
}

/// No room for these bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfRoom(pub(super) Bound);

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
        let of_payer = usage.of(self.payer) + bytes;
        // The payer's own part first: the others are full without its doing.
        let bound = match self.payer {
            Payer::Tenant(_) if of_payer > max / self.payer.share() => Some(Bound::Tenant),
            Payer::Unknown(_) if of_payer > max / self.payer.share() => Some(Bound::Network),
            Payer::Unknown(_) if usage.unknown + bytes > max / UNKNOWN_SHARE => {
                Some(Bound::Unknown)
            }
            _ => (usage.bytes + bytes > max).then_some(Bound::Server),
        };
        if let Some(bound) = bound {
            return Err(OutOfRoom(bound));
        }
        usage.set(self.payer, of_payer);
        drop(usage);
        self.bytes += bytes;
        Ok(())
    }

    /// Returns the maximum bytes of its payer.
    pub(super) fn max_bytes(&self) -> usize {
        self.budget.max_bytes / self.payer.share()
    }

    /// Returns whether its payer can have `bytes` more, while it has nothing in addition.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) <= self.max_bytes()
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
        self.add(bytes).inspect_err(|OutOfRoom(_)| {
            self.payer = before;
            // Another body may have taken the room: then this one ends now, without it.
            self.add(bytes).ok();
        })
    }

    /// Gives `bytes` back.
    pub(super) fn give_back(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes);
        let mut usage = self.budget.usage();
        let rest = usage.of(self.payer) - bytes;
        usage.set(self.payer, rest);
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
    use std::net::IpAddr;

    const fn tenant(id: i64) -> Payer {
        Payer::Tenant(TenantId(id))
    }

    /// An unknown client of a network.
    fn unknown(number: u8) -> Payer {
        Payer::Unknown(IpAddr::from([203, 0, 113, number]).into())
    }

    #[test]
    fn tenant_takes_half_and_the_server_the_rest() {
        let budget = Arc::new(Budget::new(100));
        let of = |id| Charge::new(&budget, tenant(id));
        let (mut first, mut second, mut third) = (of(1), of(1), of(2));
        assert_eq!(first.add(30), Ok(()));
        assert_eq!(second.add(21), Err(OutOfRoom(Bound::Tenant)));
        assert_eq!(second.add(20), Ok(()));
        assert_eq!(third.add(50), Ok(()));
        assert_eq!(of(3).add(1), Err(OutOfRoom(Bound::Server)));
        assert_eq!(budget.used(), 100);
    }

    #[test]
    fn dropped_charge_returns_all_it_has() {
        let budget = Arc::new(Budget::new(100));
        for payer in [tenant(1), unknown(1)] {
            let mut charge = Charge::new(&budget, payer);
            charge.add(6).unwrap();
            charge.give_back(5);
            charge.add(4).unwrap();
            assert_eq!(budget.used(), 5);
            drop(charge);
            let usage = budget.usage();
            assert_eq!((usage.bytes, usage.unknown), (0, 0));
            assert!(usage.payers.is_empty(), "no entry is left behind");
        }
    }

    #[test]
    fn network_takes_a_quarter_of_the_room_of_unknown_clients() {
        let budget = Arc::new(Budget::new(160));
        let of = |number| Charge::new(&budget, unknown(number));
        let (mut first, mut second) = (of(1), of(1));
        assert_eq!(budget.largest_body(unknown(1)), 5);
        assert_eq!(first.add(6), Ok(()));
        assert_eq!(second.add(5), Err(OutOfRoom(Bound::Network)));
        assert_eq!(second.add(4), Ok(()));
        let others = [2, 3, 4].map(|number| {
            let mut charge = of(number);
            charge.add(10).unwrap();
            charge
        });
        assert_eq!(of(5).add(1), Err(OutOfRoom(Bound::Unknown)));
        // A known tenant has more.
        assert_eq!(Charge::new(&budget, tenant(1)).add(80), Ok(()));
        drop(others);
        assert_eq!(of(5).add(10), Ok(()));
        assert_eq!(second.add(1), Err(OutOfRoom(Bound::Network)));
    }

    #[test]
    fn known_client_makes_room_for_unknown_ones() {
        let budget = Arc::new(Budget::new(160));
        let (mut first, mut second) =
            (Charge::new(&budget, unknown(1)), Charge::new(&budget, unknown(1)));
        first.add(10).unwrap();
        assert_eq!(first.pass_to(tenant(1)), Ok(()));
        assert_eq!(second.add(10), Ok(()));
        // The tenant has no room for more than half.
        let mut third = Charge::new(&budget, tenant(1));
        third.add(65).unwrap();
        assert_eq!(second.pass_to(tenant(1)), Err(OutOfRoom(Bound::Tenant)));
        assert_eq!((budget.used(), budget.usage().unknown), (85, 10));
        drop((first, second, third));
        assert!(budget.usage().payers.is_empty());
    }
}

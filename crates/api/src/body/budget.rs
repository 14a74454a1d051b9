//! The memory of request bodies in flight: bounded for the server, and for each tenant to half of
//! it.
//!
//! Bytes are charged as they arrive, not as announced: a client that announces a large body and
//! sends nothing takes nothing.

use mercurio_domain::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bytes that bodies may take, and those they take.
pub(super) struct Budget {
    max_bytes: usize,
    usage: Mutex<Usage>,
}

#[derive(Default)]
struct Usage {
    bytes: usize,
    /// Only tenants with bodies in flight.
    tenants: HashMap<TenantId, usize>,
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

    /// Returns the largest body that fits beside its coded form, while its tenant has no other.
    pub(super) fn largest_body(&self) -> usize {
        self.max_bytes / 4
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        // Nothing can panic between two changes of the counts.
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of one request. Dropping it gives them back.
pub(super) struct Charge {
    budget: Arc<Budget>,
    tenant_id: TenantId,
    bytes: usize,
}

impl Charge {
    pub(super) fn new(budget: &Arc<Budget>, tenant_id: TenantId) -> Self {
        Self { budget: Arc::clone(budget), tenant_id, bytes: 0 }
    }

    /// Takes `bytes` more.
    ///
    /// # Errors
    /// The server or the tenant has no room for them. Nothing was taken.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), OutOfRoom> {
        // Keeps tenants without bytes out of the map.
        if bytes == 0 {
            return Ok(());
        }
        let max = self.budget.max_bytes;
        let mut usage = self.budget.usage();
        let of_tenant = usage.tenants.get(&self.tenant_id).copied().unwrap_or_default();
        if usage.bytes + bytes > max || of_tenant + bytes > max / 2 {
            return Err(OutOfRoom);
        }
        usage.bytes += bytes;
        usage.tenants.insert(self.tenant_id, of_tenant + bytes);
        self.bytes += bytes;
        Ok(())
    }

    /// Gives `bytes` back.
    pub(super) fn give_back(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes);
        let mut usage = self.budget.usage();
        usage.bytes -= bytes;
        if let Some(of_tenant) = usage.tenants.get_mut(&self.tenant_id) {
            *of_tenant -= bytes;
            if *of_tenant == 0 {
                usage.tenants.remove(&self.tenant_id);
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
        let of = |tenant| Charge::new(&budget, TenantId(tenant));
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
        let mut charge = Charge::new(&budget, TenantId(1));
        charge.add(40).unwrap();
        charge.give_back(15);
        charge.add(5).unwrap();
        assert_eq!(budget.used(), 30);
        drop(charge);
        assert_eq!(budget.used(), 0);
        assert!(budget.usage().tenants.is_empty(), "no entry is left behind");
    }
}

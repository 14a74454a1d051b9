//! The limits of a request in the form of another service.

use mercurio_domain::limits::LimitName;
use mercurio_protocols::ProtocolOptions;

use crate::auth::Principal;
use crate::problem::Problem;

/// Maximum size of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForeignLimits {
    /// Bytes of the decompressed body.
    pub(crate) max_body_bytes: usize,
    pub(crate) max_events: usize,
}

impl ForeignLimits {
    /// Returns the limits of a tenant: its own, and the server's for the rest. `None`: a client that
    /// is not known yet has the server's.
    pub(crate) fn new(server: &ProtocolOptions, principal: Option<&Principal>) -> Self {
        Self {
            max_body_bytes: own(principal, LimitName::MaxBodyBytes)
                .unwrap_or(server.max_body_bytes),
            max_events: own(principal, LimitName::MaxBatchEvents).unwrap_or(server.max_events),
        }
    }

    /// Checks a request that was read before its tenant was known.
    ///
    /// # Errors
    /// [`Problem::PayloadTooLarge`] or [`Problem::BatchTooLarge`].
    pub(crate) fn check(self, body_bytes: usize, events: usize) -> Result<(), Problem> {
        if body_bytes > self.max_body_bytes {
            let actual = Some(body_bytes as u64);
            return Err(Problem::PayloadTooLarge { limit: self.max_body_bytes, actual });
        }
        if events > self.max_events {
            return Err(Problem::BatchTooLarge { limit: self.max_events, actual: events });
        }
        Ok(())
    }
}

/// Returns the tenant's own limit: the server's for its own API are too small for these clients.
fn own(principal: Option<&Principal>, name: LimitName) -> Option<usize> {
    let value = principal?.own_limits.get(name)?;
    // Valid limits fit.
    Some(usize::try_from(value).unwrap_or(usize::MAX))
}

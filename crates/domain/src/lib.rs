//! The domain of Mercurio: events in their stages, verdicts, tenants, API keys, limits, and the
//! traits of the store.
//!
//! Any Rust service can embed this crate: it makes events, checks them by the server's rules, and
//! writes the server's JSON. It does no I/O, reads no clock or environment, and starts no thread;
//! time and randomness are arguments.
//!
//! Modules, lowest first; each may use only those before it: [`text`], [`clock`], [`ids`],
//! [`verdict`], [`hints`], [`limits`], [`schema_version`], [`payload`], `openapi` (behind the feature of that
//! name), [`tenant`], [`api_key`], [`enrichment`], [`event`], [`request`], [`store`], and `testing` (likewise).

pub mod api_key;
pub mod clock;
pub mod enrichment;
pub mod event;
pub mod hints;
pub mod ids;
pub mod limits;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod payload;
pub mod request;
pub mod schema_version;
pub mod store;
pub mod tenant;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod verdict;

pub use clock::{Clock, Timestamp};
pub use ids::{ApiKeyId, EventId, EventKey, Owner, TenantId, WorkspaceId};
pub use text::{Source, Text};
pub use verdict::{FieldError, FieldErrorCode, Rejection};

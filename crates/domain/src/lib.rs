//! What a customer of Mercurio would name: events in their stages, verdicts, tenants, API keys, limits, and the
//! ports of the store.
//!
//! The crate is light enough for any Rust service to embed: it makes events, checks them by the same rules as the
//! server, and speaks the server's JSON. It does no input or output, reads no clock and no environment, and starts no
//! thread; the time and the randomness that it needs are arguments.
//!
//! Modules, lowest first; a module may use those before it and none after it:
//! [`text`], [`clock`], [`ids`], [`verdict`], [`limits`], [`schema_version`], [`payload`], `openapi` (behind the feature of
//! that name), [`tenant`], [`api_key`], [`enrichment`], [`event`], [`store`], and `testing` (likewise).

pub mod api_key;
pub mod clock;
pub mod enrichment;
pub mod event;
pub mod ids;
pub mod limits;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod payload;
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

//! Forwards the feed of a workspace to a URL, at least once, in the order of the feed.
//!
//! [`batch`], [`signature`], [`outcome`], [`retry_after`] and [`backoff`] are pure. [`HttpSender`] posts one batch, and
//! [`Forwarder`] is the loop: read a page, post it until a 2xx answer, store the cursor. Both block.
//!
//! Nothing here logs: a [`ForwardObserver`] gets every step. No text it gets has a part of a payload, of a secret, or of
//! the target except its scheme and host.

pub mod backoff;
pub mod batch;
mod error;
mod forwarder;
mod http_sender;
mod options;
pub mod outcome;
pub mod retry_after;
pub mod signature;
mod target;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use backoff::Backoff;
pub use batch::{Batch, BatchFormat};
pub use error::ForwardError;
pub use forwarder::Forwarder;
pub use http_sender::HttpSender;
pub use options::{ForwardObserver, ForwardOptions, ForwardStart, Surroundings, Totals};
pub use outcome::{Answer, DeliveryError};
pub use signature::{SecretError, SigningSecrets};
pub use target::{Target, TargetError};

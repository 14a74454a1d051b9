//! Live tails: what happens to the events of a workspace, as it happens, on any server.
//!
//! Accepted events are read from the feed by each tail; the hub only wakes it. Duplicates and rejected
//! events are stored nowhere, so requests report them as notices, to the tails of this server and,
//! through a [`TailSender`], to the other servers that have announced a tail of the workspace.
//! Notices are bounded per second, per text and per tail; the rest is counted.
//!
//! While no workspace is watched, a request costs one relaxed load of an atomic number.

mod hub;
mod inbox;
mod message;
mod notice;
mod sender;
mod state;

pub use hub::{Subscription, TailCounts, TailHub, TailReport};
pub use inbox::Delivery;
pub use message::Missed;
pub use notice::{Notice, NoticeError, NoticeStatus};
pub use sender::TailSender;
pub use state::{TailOptions, TailRefusal};

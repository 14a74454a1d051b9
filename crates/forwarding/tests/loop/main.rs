//! The loop over the store in memory and real receivers.

mod consumers;
mod faults;
mod house;
mod order;
#[cfg(feature = "tls")]
mod tls;

//! The loop over the store in memory and real receivers.

mod consumers;
mod faults;
mod order;
mod test_workspace;
#[cfg(feature = "tls")]
mod tls;

//! The real binary as a process: how it starts, how it stops, and what is left when it is killed, on both databases.

#[cfg(test)]
mod away;
#[cfg(test)]
mod catalog;
#[cfg(test)]
mod client;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod healthcheck;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod metrics;
#[cfg(test)]
#[path = "../../../../crates/storage/tests/common/server.rs"]
mod postgres_server;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod server;
#[cfg(test)]
mod shared_limits;
#[cfg(test)]
mod start;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod watched;

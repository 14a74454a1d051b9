//! The real binary as a process, on both databases: start, stop, crash, outage, upgrade, and its
//! logs and metrics.

#[cfg(test)]
mod abuse;
#[cfg(test)]
mod boundaries;
#[cfg(test)]
mod catalog;
#[cfg(test)]
mod client;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod first_run;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod healthcheck;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod outage;
#[cfg(test)]
#[path = "../../../../crates/storage/tests/common/server.rs"]
mod postgres_server;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod rejections;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod sender;
#[cfg(test)]
mod server;
#[cfg(test)]
mod shared_limits;
#[cfg(test)]
mod slow_bodies;
#[cfg(test)]
mod start;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod tail;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod upgrade;

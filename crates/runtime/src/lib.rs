//! The work of a server besides responses: it caches API keys and follows the catalog, deletes
//! expired events, reads quotas, admits reads, probes the database, records and logs
//! rejections, logs the writer's groups, passes on notices to live tails, fills an empty database, and reads the clock.
//!
//! Not here: HTTP, SQL, settings.

pub mod catalog_follower;
pub mod count_worker;
pub mod database_probe;
mod file_limit;
pub mod first_run;
pub mod key_cache;
pub mod key_uses;
pub mod lifecycle;
pub mod line_limit;
pub mod quota_usage;
pub mod reads;
pub mod refusal_log;
pub mod rejection_log;
pub mod rejection_recorder;
mod request_settings;
pub mod retention;
pub mod system;
pub mod tail;
pub mod writer_observer;

pub use file_limit::raise_file_limit;
pub use request_settings::RequestSettings;

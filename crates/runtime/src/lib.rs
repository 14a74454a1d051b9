//! What a server does besides answering requests: it caches API keys and follows the catalog, deletes expired events, watches
//! quotas and the database, samples rejections into the log, and knows the time.
//!
//! Not here: HTTP, SQL, settings.

pub mod catalog_follower;
pub mod count_worker;
pub mod database_probe;
pub mod key_cache;
pub mod key_uses;
pub mod lifecycle;
pub mod quota_usage;
pub mod rejection_log;
mod request_settings;
pub mod retention;
pub mod system;

pub use request_settings::RequestSettings;

//! The first run on an empty SQLite database: makes a key and shows it. A later run helps to
//! replace a lost key.
//!
//! Not for PostgreSQL, where nothing is created unasked: `mercurio-admin provision` does that.

use std::io::{IsTerminal, Write};

use mercurio_config::Config;
use mercurio_domain::Clock;
use mercurio_domain::api_key::ENTROPY_BYTES;
use mercurio_domain::store::Store;
use mercurio_observability::keys;
use mercurio_runtime::first_run::{self, FirstRun, Links};
use mercurio_runtime::system::SystemClock;
use mercurio_storage::DatabaseUrl;
use slog::{Logger, info};

use super::error::StartError;

/// Makes and shows a key for an empty database, or says how to replace a lost one. `links` are
/// addresses of this server.
///
/// # Errors
/// The database or the random generator fails.
pub(super) fn begin(
    config: &Config,
    store: &dyn Store,
    links: Links,
    log: &Logger,
) -> Result<(), StartError> {
    let mut entropy = [0; ENTROPY_BYTES];
    getrandom::fill(&mut entropy).map_err(|error| StartError::Entropy(error.to_string()))?;
    let url = Some(&config.database_url).filter(|url| **url != DatabaseUrl::default());
    let url = url.map(ToString::to_string);
    let mut stderr = std::io::stderr().lock();
    let for_person = stderr.is_terminal();
    let text = match first_run::begin(store, &entropy, SystemClock.now())? {
        FirstRun::Made(key) => first_run::greeting(&key, links, for_person),
        FirstRun::Unused => {
            let advice = format!("if it is lost: {}", first_run::key_command(url.as_deref()));
            info!(log, "API key never used"; keys::ADVICE => advice);
            if !for_person {
                return Ok(());
            }
            first_run::lost_key_hint(url.as_deref())
        }
        FirstRun::Past => return Ok(()),
    };
    // Without a stderr the key is lost, but the server works, and its next start says what to do.
    stderr.write_all(text.as_bytes()).ok();
    Ok(())
}

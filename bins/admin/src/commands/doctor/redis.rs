//! Checks that Redis answers in time and runs scripts. The rate limits need both.

use std::time::{Duration, Instant};

use mercurio_config::Config;
use mercurio_observability::chain;
use mercurio_rate_limit::RedisUrl;
use redis::{Connection, RedisError, RedisResult};

use super::check::Check;

const CHECK: &str = "redis";
/// For connecting and for each answer. Longer than a server waits, so that a slow Redis is reported
/// as slow.
const TIMEOUT: Duration = Duration::from_secs(3);

struct RedisFacts {
    version: String,
    /// Minimum of three.
    latency: Duration,
}

pub(super) fn check(config: &Config) -> Check {
    let Some(url) = &config.redis_url else {
        return Check::ok(CHECK, "not set: each server limits on its own");
    };
    let facts = match probe(url) {
        Ok(facts) => facts,
        Err(error) => {
            return Check::failed(
                CHECK,
                format!("{url} does not answer: {}", chain(&error)),
                "start Redis, or correct MERCURIO_REDIS_URL; without Redis each server applies its \
                 share of the limits",
            );
        }
    };
    let RedisFacts { version, latency } = facts;
    let found = format!("{url}: version {version}, {:.1} ms latency", latency.as_secs_f64() * 1e3);
    // Half of the timeout leaves room for slower answers under load.
    if latency * 2 > config.redis_timeout {
        let timeout = config.redis_timeout.as_millis();
        let advice = format!(
            "move Redis closer to the servers, or raise MERCURIO_REDIS_TIMEOUT_MS ({timeout} ms): \
             after that time a server falls back to its share of the limits"
        );
        return Check::warning(CHECK, found, advice);
    }
    Check::ok(CHECK, found)
}

fn probe(url: &RedisUrl) -> RedisResult<RedisFacts> {
    let mut connection = url.client().get_connection_with_timeout(TIMEOUT)?;
    // Without these, a hanging Redis would block `doctor` for ever.
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    let mut latency = Duration::MAX;
    // The first round trip may include start-up costs; the minimum excludes them.
    for _ in 0..3 {
        let start = Instant::now();
        // Servers run scripts. Redis can forbid a user to do so.
        let answer: u32 = redis::cmd("EVAL").arg("return 1").arg(0).query(&mut connection)?;
        if answer != 1 {
            let error = format!("the script `return 1` returned {answer}");
            return Err(RedisError::from(std::io::Error::other(error)));
        }
        latency = latency.min(start.elapsed());
    }
    let version = version(&mut connection).unwrap_or_else(|| "unknown".to_owned());
    Ok(RedisFacts { version, latency })
}

/// `None` if the user may not run `INFO`: servers do not need it.
fn version(connection: &mut Connection) -> Option<String> {
    let info: String = redis::cmd("INFO").arg("server").query(connection).ok()?;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"))?;
    Some(version.trim().to_owned())
}

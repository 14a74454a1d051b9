//! Redis: whether it answers, how fast, and whether it can do what servers ask of it.

use std::time::{Duration, Instant};

use mercurio_config::Config;
use mercurio_rate_limit::RedisUrl;
use redis::{RedisError, RedisResult};

use super::Check;

const CHECK: &str = "redis";
/// How long to wait for a connection or an answer.
const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn look(config: &Config) -> Check {
    let Some(url) = &config.redis_url else {
        return Check::ok(CHECK, "not set: each server has rate limits of its own");
    };
    match ask(url) {
        Ok((version, latency)) => {
            let found = format!(
                "{url}: version {version}, {:.1} ms an answer",
                latency.as_secs_f64() * 1e3
            );
            if latency * 2 > config.redis_timeout {
                let limit = config.redis_timeout.as_millis();
                let advice = format!(
                    "servers wait {limit} ms at most, and decide alone where that is not enough: bring Redis nearer, or \
                     raise MERCURIO_REDIS_TIMEOUT_MS"
                );
                return Check::warning(CHECK, found, advice);
            }
            Check::ok(CHECK, found)
        }
        Err(error) => Check::failed(
            CHECK,
            format!("{url} does not answer: {}", mercurio_observability::chain(&error)),
            "start Redis, or correct MERCURIO_REDIS_URL; without it each server goes on with its share of the limits",
        ),
    }
}

/// Its version, and the least time of three answers.
fn ask(url: &RedisUrl) -> RedisResult<(String, Duration)> {
    let mut connection = url.client().get_connection_with_timeout(TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    let mut latency = Duration::MAX;
    for _ in 0..3 {
        let asked = Instant::now();
        // What a server does: a script, which a role may be forbidden.
        let answer: u32 = redis::cmd("EVAL").arg("return 1").arg(0).query(&mut connection)?;
        if answer != 1 {
            return Err(RedisError::from(std::io::Error::other(
                "a script has another answer than it should",
            )));
        }
        latency = latency.min(asked.elapsed());
    }
    let info: RedisResult<String> = redis::cmd("INFO").arg("server").query(&mut connection);
    let version = info.ok().and_then(|info| {
        let line = info.lines().find_map(|line| line.strip_prefix("redis_version:"))?;
        Some(line.trim().to_owned())
    });
    Ok((version.unwrap_or_else(|| "unknown".to_owned()), latency))
}

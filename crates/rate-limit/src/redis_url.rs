//! The URL of Redis. Its password is never printed.

use std::fmt;

use redis::{Client, ConnectionAddr};

/// The URL of the Redis server with the shared buckets.
#[derive(Clone)]
pub struct RedisUrl(Client);

impl RedisUrl {
    /// Parses a URL such as `redis://:PASSWORD@HOST:6379/0`.
    ///
    /// # Errors
    /// A message without the URL, because the URL may contain a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        Client::open(text).map(Self).map_err(|_| {
            "not the URL of a Redis server: use redis://:PASSWORD@HOST:6379/0".to_owned()
        })
    }

    /// Returns a client for it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.0.get_connection_info();
        let redis = info.redis_settings();
        let scheme = match info.addr() {
            ConnectionAddr::Unix(_) => "unix",
            ConnectionAddr::TcpTls { .. } => "rediss",
            _ => "redis",
        };
        write!(f, "{scheme}://{}", redis.username().unwrap_or_default())?;
        if redis.password().is_some() {
            f.write_str(":***")?;
        }
        if redis.username().or(redis.password()).is_some() {
            f.write_str("@")?;
        }
        match info.addr() {
            ConnectionAddr::Unix(path) => write!(f, "{}?db={}", path.display(), redis.db()),
            // An IPv6 address needs brackets before a port (RFC 3986, section 3.2.2).
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }
                if host.contains(':') =>
            {
                write!(f, "[{host}]:{port}/{}", redis.db())
            }
            addr => write!(f, "{addr}/{}", redis.db()),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_shown_without_its_password() {
        for (text, shown) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://:hunter2@[::1]:7000/3", "redis://:***@[::1]:7000/3"),
            ("redis://me:hunter2@cache.example:7000", "redis://me:***@cache.example:7000/0"),
            ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        ] {
            assert_eq!(RedisUrl::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let error = RedisUrl::parse("http://u:hunter2@localhost").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

//! The address of a database: read, checked, and never printed with its password.
//!
//! PostgreSQL's URLs are read here, by the rules of libpq (PostgreSQL's manual, 34.1.1.2, "Connection URIs"), and handed
//! on as a list of parameters, so that what libpq says of a faulty one can't hold a password.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const HIDDEN: &str = "***";
/// Parameters whose value nobody may read.
const SECRETS: [&str; 2] = ["password", "sslpassword"];
/// Parameters that stand before the `?` of a URL.
const IN_PLACE: [&str; 5] = ["user", "password", "host", "port", "dbname"];
/// Parameters that every connection gets unless the URL says otherwise: a server that is gone is noticed within half a
/// minute and not after the two hours of the system's default.
const DEFAULTS: [(&str, &str); 6] = [
    ("application_name", "mercurio"),
    ("connect_timeout", "3"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "15000"),
];

/// Where a database is. Prints without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Target);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Postgres(Parameters),
    Sqlite(PathBuf),
}

/// Why a text is no [`DatabaseUrl`]. No message holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Neither `postgres://`, `postgresql://` nor `sqlite://`.
    #[error(
        "not the URL of a database: it must begin with postgres://, postgresql:// or sqlite://"
    )]
    UnknownScheme,
    /// `sqlite://` with something that is no path of a file.
    #[error("sqlite:// needs the path of a file, such as sqlite://data/mercurio.db; {0}")]
    NoFile(&'static str),
    /// `postgres://` with a part that can't be read.
    #[error("the URL of PostgreSQL can't be read: {0}")]
    Malformed(&'static str),
    /// `postgres://` without a host.
    #[error(
        "the URL of PostgreSQL names no host: give one, as in postgres://user@localhost/mercurio, or the folder of the \
         server's socket, as in postgres:///mercurio?host=/var/run/postgresql"
    )]
    NoHost,
    /// Passwords and events would cross a network unencrypted, in silence.
    #[error(
        "this build has no TLS, and {host} is not this machine: what is sent could be read on the way. Use a build with the \
         feature `tls`, or, where the network is trusted, add sslmode=disable to the URL"
    )]
    Unencrypted {
        /// The host.
        host: String,
    },
    /// TLS is asked for and not there.
    #[error(
        "this build has no TLS, and the URL asks for it by sslmode={sslmode}: use a build with the feature `tls`"
    )]
    NoTls {
        /// What the URL asks for.
        sslmode: String,
    },
}

impl DatabaseUrl {
    /// Reads `postgres://…`, `postgresql://…` or `sqlite://PATH` (relative as in `sqlite://data/mercurio.db`, absolute as
    /// in `sqlite:///var/lib/mercurio.db`). Nothing is opened.
    ///
    /// # Errors
    /// [`DatabaseUrlError`] where it is something else, or asks for a way of connecting that this build does not have.
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            return sqlite_file(path).map(|path| Self(Target::Sqlite(path)));
        }
        if text.starts_with("sqlite:") {
            return Err(DatabaseUrlError::NoFile(
                "a database in memory would be lost with the process",
            ));
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let parameters = Parameters::read(rest.ok_or(DatabaseUrlError::UnknownScheme)?)?;
        parameters.check_encryption(cfg!(feature = "tls"))?;
        Ok(Self(Target::Postgres(parameters)))
    }

    pub(crate) fn target(&self) -> &Target {
        &self.0
    }

    /// The text that reads back as this URL, with its password.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn to_text(&self) -> String {
        match &self.0 {
            Target::Postgres(parameters) => parameters.text(false),
            Target::Sqlite(_) => self.to_string(),
        }
    }

    /// The same server, another database on it. Nothing changes for SQLite.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_database(&self, name: &str) -> Self {
        let mut url = self.clone();
        if let Target::Postgres(parameters) = &mut url.0 {
            parameters.set("dbname", name);
        }
        url
    }
}

impl Default for DatabaseUrl {
    /// `sqlite://data/mercurio.db`.
    fn default() -> Self {
        Self(Target::Sqlite(Path::new("data").join("mercurio.db")))
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for DatabaseUrl {
    /// For PostgreSQL: `postgres://user:***@host:port/name?…`, without what the URL left to be the default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Postgres(parameters) => f.write_str(&parameters.text(true)),
            Target::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn sqlite_file(path: &str) -> Result<PathBuf, DatabaseUrlError> {
    let fault = match path {
        "" => "there is none",
        _ if path.ends_with('/') => "this is a folder",
        // Both have a meaning of their own for SQLite.
        _ if path.starts_with(":memory:") => "a database in memory would be lost with the process",
        _ if path.starts_with("file:") => "file: is another kind of URL",
        _ if path.contains('?') => "parameters are not supported",
        _ if path.contains('\0') => "U+0000 is not allowed",
        _ => return Ok(PathBuf::from(path)),
    };
    Err(DatabaseUrlError::NoFile(fault))
}

/// What libpq is told: the URL's parts and parameters, decoded, by libpq's names, each once.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads what follows `postgres://`.
    fn read(rest: &str) -> Result<Self, DatabaseUrlError> {
        let mut parameters = Self(Vec::new());
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let (hosts, ports) = hosts_and_ports(hosts)?;
        for (name, value) in [
            ("user", user),
            ("password", password),
            ("host", &hosts),
            ("port", &ports),
            ("dbname", database),
        ] {
            if !value.is_empty() {
                parameters.set(name, &decoded(value)?);
            }
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or(DatabaseUrlError::Malformed("a parameter has no value"))?;
            // What JDBC's users write; libpq takes it too.
            let (name, value) = if (name, value) == ("ssl", "true") {
                ("sslmode", "require")
            } else {
                (name, value)
            };
            parameters.set(&decoded(name)?, &decoded(value)?);
        }
        Ok(parameters)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Refuses what would go unencrypted without anybody having said so. libpq's own default, `sslmode=prefer`, sends
    /// everything in plain text where it was built without TLS, and does not tell.
    fn check_encryption(&self, has_tls: bool) -> Result<(), DatabaseUrlError> {
        let hosts = || {
            ["host", "hostaddr"]
                .into_iter()
                .filter_map(|name| self.get(name))
                .flat_map(|all| all.split(','))
        };
        // Without a host libpq asks PGHOST, and then looks for a socket where it was compiled to look.
        if hosts().all(str::is_empty) {
            return Err(DatabaseUrlError::NoHost);
        }
        if has_tls {
            return Ok(());
        }
        match self.get("sslmode") {
            Some("disable") => Ok(()),
            Some(sslmode @ ("require" | "verify-ca" | "verify-full")) => {
                Err(DatabaseUrlError::NoTls { sslmode: sslmode.to_owned() })
            }
            _ => match hosts().find(|host| !is_this_machine(host)) {
                Some(host) => Err(DatabaseUrlError::Unencrypted { host: host.to_owned() }),
                None => Ok(()),
            },
        }
    }

    /// The parameters as libpq reads them: `name='value' …`.
    pub(crate) fn to_conninfo(&self) -> String {
        let given = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let defaults = DEFAULTS.into_iter().filter(|(name, _)| self.get(name).is_none());
        let quoted = |(name, value): (&str, &str)| {
            format!("{name}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
        };
        given.chain(defaults).map(quoted).collect::<Vec<_>>().join(" ")
    }
}

impl Parameters {
    /// The parameters as a URL, with `***` for what is secret where `hide` says so.
    fn text(&self, hide: bool) -> String {
        let secret = |text: &str| if hide { HIDDEN.to_owned() } else { encoded(text) };
        let mut url = "postgres://".to_owned();
        if let Some(user) = self.get("user") {
            url += &encoded(user);
        }
        if let Some(password) = self.get("password") {
            url += &format!(":{}", secret(password));
        }
        if self.get("user").or(self.get("password")).is_some() {
            url.push('@');
        }
        let ports: Vec<&str> = self.get("port").unwrap_or_default().split(',').collect();
        let hosts = self.get("host").unwrap_or_default().split(',').enumerate();
        let hosts = hosts.map(|(index, host)| {
            let host = if host.contains(':') { format!("[{host}]") } else { encoded(host) };
            // libpq takes one port for all hosts, or one for each.
            let port = if ports.len() == 1 {
                ports[0]
            } else {
                ports.get(index).copied().unwrap_or_default()
            };
            if port.is_empty() { host } else { format!("{host}:{port}") }
        });
        url += &hosts.collect::<Vec<_>>().join(",");
        url += &format!("/{}", encoded(self.get("dbname").unwrap_or_default()));
        let others = |(name, _): &&(String, String)| !IN_PLACE.contains(&name.as_str());
        for (index, (name, value)) in self.0.iter().filter(others).enumerate() {
            let value =
                if SECRETS.contains(&name.as_str()) { secret(value) } else { encoded(value) };
            url += &format!("{}{}={value}", if index == 0 { '?' } else { '&' }, encoded(name));
        }
        url
    }
}

/// The hosts and the ports of `host:port,[::1]:port,…`, each divided by commas.
fn hosts_and_ports(text: &str) -> Result<(String, String), DatabaseUrlError> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for one in text.split(',') {
        let (host, port) = match one.strip_prefix('[') {
            Some(rest) => {
                let (host, after) =
                    rest.split_once(']').ok_or(DatabaseUrlError::Malformed("a [ has no ]"))?;
                (host, after.strip_prefix(':').unwrap_or(after))
            }
            None => one.split_once(':').unwrap_or((one, "")),
        };
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DatabaseUrlError::Malformed(
                "a port is not a number; a password with one of : / ? # [ ] @ % must be percent-encoded",
            ));
        }
        hosts.push(host);
        ports.push(port);
    }
    let ports =
        if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") };
    Ok((hosts.join(","), ports))
}

fn is_this_machine(host: &str) -> bool {
    // An empty host between commas: libpq takes the socket of its own choice.
    host.is_empty()
        || host.starts_with(['/', '@'])
        || host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || host.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback())
}

/// Undoes percent-encoding. `+` stays what it is, as in libpq.
fn decoded(text: &str) -> Result<String, DatabaseUrlError> {
    const FAULT: DatabaseUrlError =
        DatabaseUrlError::Malformed("a % is not followed by two hexadecimal digits");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_first_chunk::<2>().ok_or(FAULT)?;
            let digits = std::str::from_utf8(digits).map_err(|_| FAULT)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| FAULT)?);
            rest = after;
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    if bytes.contains(&0) {
        return Err(DatabaseUrlError::Malformed("U+0000 is not allowed"));
    }
    String::from_utf8(bytes).map_err(|_| DatabaseUrlError::Malformed("it is not UTF-8"))
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests;

//! The parameters of a PostgreSQL URL, by the rules of libpq (manual, "Connection URIs").
//!
//! Parsed here, because libpq's own error message for a malformed URL could contain the password.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::DatabaseUrlError;
use super::libpq_names::{is_known, is_shown};

const HIDDEN: &str = "***";
/// Parameters written before the `?` of a URL.
const BEFORE_QUERY: [&str; 5] = ["user", "password", "host", "port", "dbname"];
/// Default parameters. With them a dead server is detected within half a minute; the system's
/// default takes two hours.
const DEFAULTS: [(&str, &str); 6] = [
    ("application_name", "mercurio"),
    // Seconds, like the two keepalive times; `tcp_user_timeout` is in milliseconds.
    ("connect_timeout", "3"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "15000"),
];

/// The decoded parts of a URL by libpq's parameter names, each once.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<Parameter>);

#[derive(Clone, PartialEq, Eq)]
struct Parameter {
    name: String,
    value: String,
}

impl Parameters {
    /// Parses the part after `postgres://`.
    pub(super) fn parse(rest: &str) -> Result<Self, DatabaseUrlError> {
        let mut parameters = Self(Vec::new());
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        // The first slash ends the hosts; a socket's folder is percent-encoded or a parameter.
        let (authority, database) = location.split_once('/').unwrap_or((location, ""));
        // The last @ separates: libpq accepts one in a password.
        if database.contains('@') {
            return Err(DatabaseUrlError::Malformed(
                "the name of the database has an @; percent-encode : / ? # [ ] @ % in a password",
            ));
        }
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let HostList { hosts, ports } = HostList::parse(hosts)?;
        for (name, value) in [
            ("user", user),
            ("password", password),
            ("host", &hosts),
            ("port", &ports),
            ("dbname", database),
        ] {
            // An empty part means libpq's default.
            if !value.is_empty() {
                parameters.set(name, &decoded(value)?);
            }
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or(DatabaseUrlError::Malformed("a parameter has no value: write name=value"))?;
            // JDBC's form, which libpq accepts too.
            let (name, value) = if (name, value) == ("ssl", "true") {
                ("sslmode", "require")
            } else {
                (name, value)
            };
            let name = decoded(name)?;
            // libpq has no quotes for names: any other name could add parameters of its own.
            if !is_known(&name) {
                return Err(DatabaseUrlError::UnknownParameter);
            }
            // After the parts before the `?`, so the query wins, as in libpq.
            parameters.set(&name, &decoded(value)?);
        }
        Ok(parameters)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|parameter| parameter.name == name);
        found.map(|parameter| parameter.value.as_str())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        // A later value replaces an earlier one, as in libpq.
        self.0.retain(|parameter| parameter.name != name);
        self.0.push(Parameter { name: name.to_owned(), value: value.to_owned() });
    }

    /// Rejects a URL that would connect to another machine without encryption, unless it says so.
    ///
    /// libpq's default `sslmode=prefer` silently sends plain text in a build without TLS.
    pub(super) fn check_encryption(&self, has_tls: bool) -> Result<(), DatabaseUrlError> {
        let hosts: Vec<&str> = ["host", "hostaddr"]
            .into_iter()
            .filter_map(|name| self.get(name))
            .flat_map(|list| list.split(','))
            .collect();
        // Without a host libpq uses PGHOST or a compiled-in socket folder.
        if hosts.iter().all(|host| host.is_empty()) {
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
            // `prefer` and `allow` fall back to plain text without a word.
            _ => match hosts.iter().find(|host| !is_this_machine(host)) {
                Some(host) => Err(DatabaseUrlError::Unencrypted { host: (*host).to_owned() }),
                None => Ok(()),
            },
        }
    }

    /// The parameters and the defaults in libpq's form `name='value' …`.
    pub(crate) fn to_conninfo(&self) -> String {
        let mut words = Vec::with_capacity(self.0.len() + DEFAULTS.len());
        for Parameter { name, value } in &self.0 {
            // libpq's quoting escapes backslashes and quotes.
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            words.push(format!("{name}='{value}'"));
        }
        for (name, value) in DEFAULTS {
            if self.get(name).is_none() {
                words.push(format!("{name}='{value}'"));
            }
        }
        words.join(" ")
    }

    /// The parameters as a URL. `hide_secrets` replaces values that may be secret with `***`.
    pub(super) fn to_url(&self, hide_secrets: bool) -> String {
        let secret = |text: &str| if hide_secrets { HIDDEN.to_owned() } else { encoded(text) };
        let mut url = "postgres://".to_owned();
        if let Some(user) = self.get("user") {
            url += &encoded(user);
        }
        if let Some(password) = self.get("password") {
            url += &format!(":{}", secret(password));
        }
        // A password without a user is valid: libpq takes the user from the system.
        if self.get("user").or(self.get("password")).is_some() {
            url.push('@');
        }
        url += &self.host_list();
        url += &format!("/{}", encoded(self.get("dbname").unwrap_or_default()));
        let mut separator = '?';
        for Parameter { name, value } in &self.0 {
            if BEFORE_QUERY.contains(&name.as_str()) {
                continue;
            }
            let value = if is_shown(name) { encoded(value) } else { secret(value) };
            url += &format!("{separator}{}={value}", encoded(name));
            separator = '&';
        }
        url
    }

    /// The hosts with their ports, as in a URL.
    fn host_list(&self) -> String {
        let ports: Vec<&str> = self.get("port").unwrap_or_default().split(',').collect();
        let mut hosts = Vec::new();
        for (index, host) in self.get("host").unwrap_or_default().split(',').enumerate() {
            // Only an IPv6 address has a colon, and it needs brackets (RFC 3986, section 3.2.2).
            let host = if host.contains(':') { format!("[{host}]") } else { encoded(host) };
            // libpq takes one port for all hosts, or one each.
            let port = match ports.as_slice() {
                [port] => port,
                ports => ports.get(index).copied().unwrap_or_default(),
            };
            hosts.push(if port.is_empty() { host } else { format!("{host}:{port}") });
        }
        hosts.join(",")
    }
}

/// Hosts and ports, each a list with commas as libpq expects.
struct HostList {
    hosts: String,
    ports: String,
}

impl HostList {
    /// Parses `host:port,[::1]:port,…`.
    fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        for entry in text.split(',') {
            let (host, port) = match entry.strip_prefix('[') {
                Some(rest) => {
                    let (host, after) = rest.split_once(']').ok_or(DatabaseUrlError::Malformed(
                        "an IPv6 address has a [ without a ]",
                    ))?;
                    (host, after.strip_prefix(':').unwrap_or(after))
                }
                None => entry.split_once(':').unwrap_or((entry, "")),
            };
            // Mostly a password with an unescaped `/` or `@`, hence the second half of the message.
            if !port.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(DatabaseUrlError::Malformed(
                    "a port is not a number; percent-encode : / ? # [ ] @ % in a password",
                ));
            }
            hosts.push(host);
            ports.push(port);
        }
        // Without any port, the list would be only commas.
        let has_ports = ports.iter().any(|port| !port.is_empty());
        let ports = if has_ports { ports.join(",") } else { String::new() };
        Ok(Self { hosts: hosts.join(","), ports })
    }
}

fn is_this_machine(host: &str) -> bool {
    // libpq uses a local socket for an empty host in a list.
    host.is_empty()
        // A socket in the file system or in Linux's abstract namespace.
        || host.starts_with(['/', '@'])
        || host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || host.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback())
}

/// Decodes percent-encoding. `+` is not a space, as in libpq.
fn decoded(text: &str) -> Result<String, DatabaseUrlError> {
    const MALFORMED: DatabaseUrlError =
        DatabaseUrlError::Malformed("a % is not followed by two hexadecimal digits");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_first_chunk::<2>().ok_or(MALFORMED)?;
            let digits = std::str::from_utf8(digits).map_err(|_| MALFORMED)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| MALFORMED)?);
            rest = after;
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    // libpq takes C strings and would cut the value there.
    if bytes.contains(&0) {
        return Err(DatabaseUrlError::Malformed("it contains U+0000"));
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

//! Listen addresses: an IP address or a host name, with a port.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use crate::reader::shown;

/// Maximum characters of a host name (RFC 1035, section 2.3.4).
const MAX_NAME_CHARS: usize = 253;

/// The address of a listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A host name, to be resolved at start, and a port.
    Name {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
}

impl ListenAddress {
    /// Returns the port; 0 lets the system choose one.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Socket(addr) => addr.port(),
            Self::Name { port, .. } => *port,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(addr) => addr.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl ToSocketAddrs for ListenAddress {
    type Iter = std::vec::IntoIter<SocketAddr>;

    /// Resolves a name, and blocks for it.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self {
            Self::Socket(addr) => Ok(vec![*addr].into_iter()),
            Self::Name { host, port } => (host.as_str(), *port).to_socket_addrs(),
        }
    }
}

/// A text is not a listen address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAddress {
    text: String,
    mistake: Mistake,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mistake {
    Url,
    /// The port as a number, if it is one.
    NoHost(Option<u16>),
    /// A valid host.
    NoPort(String),
    NoBrackets,
    Port,
    AllInterfaces,
    Host,
}

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = shown(&self.text);
        match &self.mistake {
            Mistake::Url => {
                write!(f, "{text} is a URL: use host and port alone, such as localhost:8080")
            }
            Mistake::NoHost(port) => {
                let port = port.unwrap_or(8080);
                write!(
                    f,
                    "{text} has no host: use 127.0.0.1:{port} for this machine alone, or 0.0.0.0:{port} for all interfaces"
                )
            }
            Mistake::NoPort(host) => write!(f, "{text} has no port: use {host}:8080"),
            Mistake::NoBrackets => {
                write!(f, "{text}: use brackets around an IPv6 address, as in [::1]:8080")
            }
            Mistake::Port => write!(f, "{text} has an invalid port: use a number from 0 to 65535"),
            Mistake::AllInterfaces => write!(
                f,
                "{text}: for all interfaces use 0.0.0.0 with a port, or [::] for IPv6 and IPv4"
            ),
            Mistake::Host => write!(
                f,
                "{text} has neither an IP address nor a host name: use one with a port, such as 127.0.0.1:8080 or localhost:8080"
            ),
        }
    }
}

impl std::error::Error for InvalidAddress {}

impl FromStr for ListenAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if let Ok(addr) = text.parse() {
            return Ok(Self::Socket(addr));
        }
        read(text).map_err(|mistake| InvalidAddress { text: text.to_owned(), mistake })
    }
}

/// Reads everything but an IP address with a port.
fn read(text: &str) -> Result<ListenAddress, Mistake> {
    if text.contains("://") {
        return Err(Mistake::Url);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Err(match ip {
            IpAddr::V4(_) => Mistake::NoPort(text.to_owned()),
            IpAddr::V6(_) => Mistake::NoBrackets,
        });
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(match text {
            "*" => Mistake::AllInterfaces,
            _ if is_number(text) => Mistake::NoHost(text.parse().ok()),
            _ if is_name(text) => Mistake::NoPort(text.to_owned()),
            _ => Mistake::Host,
        });
    };
    let number = port.parse().ok().filter(|_| is_number(port));
    match host {
        "" => Err(Mistake::NoHost(number)),
        "*" => Err(Mistake::AllInterfaces),
        _ if host.contains(':') && !host.starts_with('[') => Err(Mistake::NoBrackets),
        _ if !is_name(host) && !is_ip(host) => Err(Mistake::Host),
        _ if port.is_empty() => Err(Mistake::NoPort(host.to_owned())),
        _ => {
            let port = number.ok_or(Mistake::Port)?;
            Ok(ListenAddress::Name { host: host.to_owned(), port })
        }
    }
}

/// Whether a text is the host of an address whose port is wrong.
fn is_ip(host: &str) -> bool {
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match in_brackets {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

/// Whether a text can be a host name. One that ends in a number is a wrong IPv4 address, which the
/// system might still resolve: `127.1` is 127.0.0.1 to it.
fn is_name(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= MAX_NAME_CHARS
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_an_ip_address_or_a_name_with_a_port() {
        for text in ["127.0.0.1:8080", "[::1]:0", "[::]:65535"] {
            let addr = text.parse().unwrap();
            assert_eq!(text.parse(), Ok(ListenAddress::Socket(addr)), "{text}");
        }
        for (name, port) in [("localhost", 8080), ("db_1.example-host.test", 0), ("0x7f.a", 1)] {
            let text = format!("{name}:{port}");
            let addr: ListenAddress = text.parse().unwrap();
            assert_eq!((addr.to_string(), addr.port()), (text, port));
        }
        let localhost: ListenAddress = "localhost:8080".parse().unwrap();
        let addrs: Vec<SocketAddr> = localhost.to_socket_addrs().unwrap().collect();
        assert!(addrs.contains(&SocketAddr::from(([127, 0, 0, 1], 8080))), "{addrs:?}");
    }

    #[test]
    fn mistake_in_an_address_is_named_with_the_way_out() {
        for (text, expected) in [
            ("8081", "127.0.0.1:8081 for this machine alone, or 0.0.0.0:8081 for all interfaces"),
            (":8081", "127.0.0.1:8081 for this machine alone, or 0.0.0.0:8081 for all interfaces"),
            (":", "127.0.0.1:8080 for this machine alone"),
            ("localhost", "has no port: use localhost:8080"),
            ("localhost:", "has no port: use localhost:8080"),
            ("127.0.0.1", "has no port: use 127.0.0.1:8080"),
            ("::1", "[::1]:8080"),
            ("::1:8080", "[::1]:8080"),
            ("fe80::1:x:8080", "[::1]:8080"),
            ("http://localhost:8080", "is a URL: use host and port alone"),
            ("*:8080", "0.0.0.0"),
            ("*", "0.0.0.0"),
            ("localhost:http", "a number from 0 to 65535"),
            ("localhost:+80", "a number from 0 to 65535"),
            ("127.0.0.1:65536", "a number from 0 to 65535"),
            ("[::1]:65536", "a number from 0 to 65535"),
            ("[::1]:", "has no port: use [::1]:8080"),
            ("127.0.0:8080", "neither an IP address nor a host name"),
            ("256.0.0.1:80", "neither an IP address nor a host name"),
            ("my host:8080", "neither an IP address nor a host name"),
            ("a..b:8080", "neither an IP address nor a host name"),
            ("[::1:8080", "neither an IP address nor a host name"),
            ("", "neither an IP address nor a host name"),
        ] {
            let message = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("{text:?}")), "{message}");
            assert!(message.contains(expected), "{text}: {message}");
        }
        let long = "x".repeat(1_000);
        let message = format!("{long}:8080").parse::<ListenAddress>().unwrap_err().to_string();
        assert!(message.len() < 300, "{message}");
    }
}

//! Listening sockets, and the errors of a person's settings: each message names the setting, and ends
//! with the way out.
//!
//! A socket is bound before it is served, so that a used port ends a start before it has any effect.
//! Clients that connect in between wait.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

/// The system does not let the server listen.
#[derive(Debug)]
pub enum ListenError {
    /// The name in the setting has no address.
    Unresolved {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        address: String,
        /// The error of the resolver.
        source: io::Error,
    },
    /// The address cannot be bound.
    Refused {
        /// Name of the setting.
        setting: &'static str,
        /// The address, of a name one of its addresses.
        addr: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
}

/// Binds every address of `address`: `localhost` is `127.0.0.1` for some clients and `::1` for
/// others. Resolves a name, and blocks for it. Returns at least one socket.
///
/// `setting` is the name of the setting with this value.
///
/// # Errors
/// [`ListenError`] if one of the addresses cannot be bound. Addresses that the machine does not have
/// are left out, unless all are.
pub fn bind(
    setting: &'static str,
    address: &(impl ToSocketAddrs + Display),
) -> Result<Vec<TcpListener>, ListenError> {
    let unresolved =
        |source| ListenError::Unresolved { setting, address: address.to_string(), source };
    let (mut listeners, mut missing) = (Vec::new(), None);
    for addr in address.to_socket_addrs().map_err(unresolved)? {
        // std sets SO_REUSEADDR: a restarted server can bind the port its predecessor just left.
        match TcpListener::bind(addr) {
            Ok(listener) => listeners.push(listener),
            // A machine without IPv6 may still resolve `localhost` to `::1`.
            Err(source) if source.kind() == ErrorKind::AddrNotAvailable => {
                missing = Some(ListenError::Refused { setting, addr, source });
            }
            Err(source) => return Err(ListenError::Refused { setting, addr, source }),
        }
        // The system would choose another port for each address.
        if addr.port() == 0 && !listeners.is_empty() {
            break;
        }
    }
    match missing {
        _ if !listeners.is_empty() => Ok(listeners),
        Some(error) => Err(error),
        None => Err(unresolved(ErrorKind::NotFound.into())),
    }
}

/// Returns `addr` with loopback in place of "all interfaces", for clients on this machine.
#[must_use]
pub fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, addr.port())
}

impl std::error::Error for ListenError {}

impl Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved { setting, address, source } => write!(
                f,
                "{setting}: cannot resolve {address}: {source}. Set {setting} to an IP address of this machine and a port, \
                 such as 127.0.0.1:8080"
            ),
            Self::Refused { setting, addr, source } => {
                write!(f, "{setting}: cannot listen on {addr}: {source}. ")?;
                write_way_out(f, setting, *addr, source.kind())
            }
        }
    }
}

fn write_way_out(
    f: &mut fmt::Formatter<'_>,
    setting: &str,
    addr: SocketAddr,
    kind: ErrorKind,
) -> fmt::Result {
    let port = addr.port();
    match kind {
        ErrorKind::AddrInUse => write!(
            f,
            "Another program has this port; `ss -ltnp sport = :{port}` shows which. Stop it, or set {setting} to another port, \
             such as {}",
            SocketAddr::new(addr.ip(), port.checked_add(1).unwrap_or(8080))
        ),
        ErrorKind::PermissionDenied => write!(
            f,
            "Ports below 1024 need a privilege. Set {setting} to a higher port, such as {}, or give the program \
             CAP_NET_BIND_SERVICE",
            SocketAddr::new(addr.ip(), 8080)
        ),
        ErrorKind::AddrNotAvailable => write!(
            f,
            "No interface of this machine has this address. Set {setting} to 0.0.0.0:{port} for all interfaces, or to \
             127.0.0.1:{port} for this machine alone"
        ),
        _ => write!(f, "Set {setting} to another address, such as 127.0.0.1:8080"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_the_setting_and_the_way_out() {
        for (kind, expected) in [
            (ErrorKind::AddrInUse, "set MERCURIO_ADDR to another port, such as 127.0.0.1:81"),
            (ErrorKind::PermissionDenied, "a higher port, such as 127.0.0.1:8080"),
            (ErrorKind::AddrNotAvailable, "0.0.0.0:80 for all interfaces"),
            (ErrorKind::OutOfMemory, "another address, such as 127.0.0.1:8080"),
        ] {
            let error = ListenError::Refused {
                setting: "MERCURIO_ADDR",
                addr: SocketAddr::from(([127, 0, 0, 1], 80)),
                source: kind.into(),
            };
            let message = error.to_string();
            assert!(
                message.starts_with("MERCURIO_ADDR: cannot listen on 127.0.0.1:80: "),
                "{message}"
            );
            assert!(message.contains(expected), "{message}");
        }
    }

    /// A name with several addresses.
    struct Name(Vec<SocketAddr>);

    impl Display for Name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("name")
        }
    }

    impl ToSocketAddrs for Name {
        type Iter = std::vec::IntoIter<SocketAddr>;

        fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
            Ok(self.0.clone().into_iter())
        }
    }

    #[test]
    fn name_is_bound_on_all_addresses_that_the_machine_has() {
        let [one, two] = [1, 2].map(|end| SocketAddr::from(([127, 0, 0, end], 0)));
        let taken = TcpListener::bind(two).unwrap().local_addr().unwrap();
        // TEST-NET-1, which no interface has (RFC 5737).
        let missing = SocketAddr::from(([192, 0, 2, 1], taken.port()));
        let on_one = SocketAddr::new(one.ip(), taken.port());
        let bound = bind("A", &Name(vec![missing, on_one, taken])).unwrap();
        let addrs: Vec<_> = bound.iter().map(|socket| socket.local_addr().unwrap()).collect();
        assert_eq!(addrs, [on_one, taken]);
        // Now one of them is in use.
        drop(bound);
        let _used = TcpListener::bind(taken).unwrap();
        let error = bind("A", &Name(vec![on_one, taken])).unwrap_err();
        assert!(matches!(error, ListenError::Refused { addr, .. } if addr == taken), "{error}");
        let error = bind("A", &Name(vec![missing])).unwrap_err();
        assert!(matches!(error, ListenError::Refused { addr, .. } if addr == missing), "{error}");
        assert!(
            bind("A", &Name(Vec::new())).unwrap_err().to_string().contains("cannot resolve name")
        );
        // A port of the system's choice is one for one address.
        assert_eq!(bind("A", &Name(vec![one, two])).unwrap().len(), 1);
    }
}

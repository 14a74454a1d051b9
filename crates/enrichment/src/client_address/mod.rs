//! The address of the client behind proxies.
//!
//! Every proxy appends the address of its caller. A client can write anything to the left of that.
//! So the search goes from right to left and ends at the first address outside the trusted proxies.
//!
//! One header counts, the one that the proxies set. A client can send all others.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// Networks of proxies whose headers are believed. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// An entry of the list is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct TrustedProxiesError {
    /// The entry, cut at 64 characters.
    pub entry: String,
}

impl TrustedProxies {
    /// Reads addresses and networks separated by commas: `10.0.0.0/8, ::1`. An empty text trusts no
    /// proxy.
    ///
    /// # Errors
    /// [`TrustedProxiesError`] with the first invalid entry.
    pub fn parse(text: &str) -> Result<Self, TrustedProxiesError> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Returns whether `address` is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The header in which trusted proxies report the client's address. The setting is
/// `MERCURIO_CLIENT_IP_HEADER`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ClientIpHeader {
    /// `X-Forwarded-For`: a list, to which each proxy appends its caller.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239): such a list with parameters.
    Forwarded,
    /// A header with one address, such as `X-Real-IP`. In lower case.
    Single(String),
}

/// The text is not the name of a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a header name: use x-forwarded-for, forwarded, or one such as x-real-ip")]
pub struct ClientIpHeaderError(String);

impl ClientIpHeader {
    /// Returns the header's name in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::Single(name) => name,
        }
    }
}

impl FromStr for ClientIpHeader {
    type Err = ClientIpHeaderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The characters of a token (RFC 9110, section 5.6.2).
        let in_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || text.len() > 64 || !text.bytes().all(in_token) {
            return Err(ClientIpHeaderError(text.chars().take(64).collect()));
        }
        Ok(match text.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Self::XForwardedFor,
            "forwarded" => Self::Forwarded,
            name => Self::Single(name.to_owned()),
        })
    }
}

impl fmt::Display for ClientIpHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn network(entry: &str) -> Result<IpNet, TrustedProxiesError> {
    let network = entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
    network
        .map(canonical)
        .map_err(|_| TrustedProxiesError { entry: entry.chars().take(64).collect() })
}

/// Converts a network of IPv4-mapped IPv6 addresses to IPv4, the form in which addresses are
/// compared.
fn canonical(network: IpNet) -> IpNet {
    // 96 bits of an IPv4-mapped address are the fixed prefix `::ffff:0:0`.
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(prefix)) if network.addr().is_ipv6() => {
            Ipv4Net::new(address, prefix).map_or(network, IpNet::from)
        }
        _ => network,
    }
}

/// Returns the address of the client: `peer`, or the address that trusted proxies report.
///
/// `lines` are those of `header` in the order of the request. A hop without an address (`unknown`,
/// `_hidden`, garbage) ends the search with the last known address.
#[must_use]
pub fn client_address(
    peer: IpAddr,
    header: &ClientIpHeader,
    lines: &[&str],
    trusted: &TrustedProxies,
) -> IpAddr {
    // A socket for both families reports IPv4 peers as mapped addresses.
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        return peer;
    }
    match header {
        ClientIpHeader::Forwarded => {
            // Line by line: a quote left open by a client must not hide the lines that proxies
            // added.
            let hops = lines.iter().rev().flat_map(|line| elements_of(line, ',').into_iter().rev());
            last_untrusted(peer, hops.map(forwarded_for), trusted)
        }
        ClientIpHeader::XForwardedFor => {
            let hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).map(str::trim);
            last_untrusted(peer, hops.filter(|hop| !hop.is_empty()).map(node), trusted)
        }
        // Of several lines, all but one are a client's.
        ClientIpHeader::Single(_) => match lines {
            [line] => node(line.trim()).unwrap_or(peer),
            _ => peer,
        },
    }
}

fn last_untrusted(
    peer: IpAddr,
    hops: impl Iterator<Item = Option<IpAddr>>,
    trusted: &TrustedProxies,
) -> IpAddr {
    let mut known = peer;
    for hop in hops {
        // Addresses further left came through a hop without an address: they are unverified.
        let Some(address) = hop else { break };
        known = address;
        if !trusted.contains(address) {
            break;
        }
    }
    known
}

/// Tracks whether a position in a text is inside quotes, character by character.
#[derive(Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    fn follow(&mut self, character: char) {
        if self.escaped {
            self.escaped = false;
        } else if self.open && character == '\\' {
            self.escaped = true;
        } else if character == '"' {
            self.open = !self.open;
        }
    }
}

/// Splits `text` at separators outside quotes; omits empty parts.
fn elements_of(text: &str, separator: char) -> Vec<&str> {
    let mut quotes = Quotes::default();
    let parts = text.split(|character: char| {
        let separates = !quotes.open && character == separator;
        quotes.follow(character);
        separates
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Returns whether a value is one token or one quoted string (RFC 7239, section 4).
fn is_token_or_quoted(value: &str) -> bool {
    let Some(inside) = value.strip_prefix('"') else {
        return !value.contains('"');
    };
    let mut quotes = Quotes { open: true, escaped: false };
    let end = inside.find(|character| {
        quotes.follow(character);
        !quotes.open
    });
    // The closing quote must be the last byte.
    end.is_some_and(|end| end + 1 == inside.len())
}

/// Returns the address of the only `for=` in an element of `Forwarded`. An element with a misplaced
/// quote has none: a client could invent an address and open a quote to hide the rest of the line,
/// which a proxy added.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in elements_of(element, ';') {
        let (name, value) = pair.split_once('=')?;
        if name.contains('"') || !is_token_or_quoted(value.trim()) {
            return None;
        }
        // Of two `for=` in one element, one may be a client's, so neither counts.
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    match found?.strip_prefix('"') {
        Some(rest) => {
            // No character of an address needs an escape, but any may have one.
            let inside = rest.strip_suffix('"')?;
            if inside.contains('\\') { node(&inside.replace('\\', "")) } else { node(inside) }
        }
        None => node(found?),
    }
}

/// Reads an address with or without a port: `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`.
fn node(text: &str) -> Option<IpAddr> {
    // Only brackets separate the port of an IPv6 address from its groups.
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let port = after.strip_prefix(':');
        (after.is_empty() || port.is_some_and(is_port)).then_some(())?;
        IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)
    } else if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else {
        let (address, port) = text.split_once(':')?;
        is_port(port).then_some(())?;
        IpAddr::V4(address.parse::<Ipv4Addr>().ok()?)
    };
    Some(address.to_canonical())
}

/// Accepts a port or an obfuscated port such as `_hidden` (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        // Values above 65535 pass, because the port is not used.
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests;

//! Which address a request really comes from, where it came through proxies.
//!
//! Every proxy appends the address that it was called from. What a client wrote itself stands to the left of that, so
//! only the part to the right can be believed: as far as the proxies are our own. The walk therefore goes from right to
//! left and ends at the first address that is not a trusted proxy's.
//!
//! `Forwarded` (RFC 7239) goes before `X-Forwarded-For`. A trusted proxy that writes only one of them must remove the
//! other, or a client can send it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// The networks whose machines tell the truth about who called them. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// An entry of a list of trusted proxies is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct TrustedProxiesError {
    /// The entry, cut at 64 characters.
    pub entry: String,
}

impl TrustedProxies {
    /// Reads addresses and networks, divided by commas: `10.0.0.0/8, ::1`. An empty text trusts nobody.
    ///
    /// # Errors
    /// [`TrustedProxiesError`] with the first entry that is neither.
    pub fn parse(text: &str) -> Result<Self, TrustedProxiesError> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let read = |entry: &str| {
            let network =
                entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
            let error = |_| TrustedProxiesError { entry: entry.chars().take(64).collect() };
            network.map(canonical).map_err(error)
        };
        entries.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `address` belongs to one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// A network of IPv4 addresses in the clothes of IPv6 as one of IPv4, since addresses are compared undressed.
fn canonical(network: IpNet) -> IpNet {
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(prefix)) if network.addr().is_ipv6() => {
            Ipv4Net::new(address, prefix).map_or(network, IpNet::from)
        }
        _ => network,
    }
}

/// The address of the client: that of `peer`, or if that is a trusted proxy what it and those before it say.
///
/// `forwarded` and `x_forwarded_for` are the lines of these headers in the order of the request. A hop that has no
/// address (`unknown`, `_hidden`, garbage) ends the walk: the client then is the last one known.
#[must_use]
pub fn client_address(
    peer: IpAddr,
    forwarded: &[&str],
    x_forwarded_for: &[&str],
    trusted: &TrustedProxies,
) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        return peer;
    }
    if forwarded.iter().any(|line| !line.trim().is_empty()) {
        // Line by line: a quote that a client left open must not swallow the lines that proxies added.
        let hops = forwarded.iter().rev().flat_map(|line| elements_of(line, ',').into_iter().rev());
        walk(peer, hops.map(forwarded_for), trusted)
    } else {
        let hops = x_forwarded_for.iter().rev().flat_map(|line| line.rsplit(','));
        walk(peer, hops.map(str::trim).filter(|hop| !hop.is_empty()).map(node), trusted)
    }
}

fn walk(
    peer: IpAddr,
    hops: impl Iterator<Item = Option<IpAddr>>,
    trusted: &TrustedProxies,
) -> IpAddr {
    let mut known = peer;
    for hop in hops {
        let Some(address) = hop else { break };
        known = address;
        if !trusted.contains(address) {
            break;
        }
    }
    known
}

/// Follows the quotes of a text, character by character.
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

/// The parts of `text` between separators that do not stand in quotes, without empty ones.
fn elements_of(text: &str, separator: char) -> Vec<&str> {
    let mut quotes = Quotes::default();
    let parts = text.split(|character: char| {
        let separates = !quotes.open && character == separator;
        quotes.follow(character);
        separates
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Whether a value is a token or one quoted text, and nothing beside it (RFC 7239, section 4).
fn is_token_or_quoted(value: &str) -> bool {
    let Some(inside) = value.strip_prefix('"') else {
        return !value.contains('"');
    };
    let mut quotes = Quotes { open: true, escaped: false };
    let end = inside.find(|character| {
        quotes.follow(character);
        !quotes.open
    });
    end.is_some_and(|end| end + 1 == inside.len())
}

/// The address of the one `for=` of an element of `Forwarded`. One with a quote where none can be has none: the quote may be a
/// client's, behind an address that it made up, and what a proxy added to the line would stand inside.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in elements_of(element, ';') {
        let (name, value) = pair.split_once('=')?;
        if name.contains('"') || !is_token_or_quoted(value.trim()) {
            return None;
        }
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    match found?.strip_prefix('"') {
        Some(rest) => {
            // No address has a character that needs to be escaped, but every character may be.
            let inside = rest.strip_suffix('"')?;
            if inside.contains('\\') { node(&inside.replace('\\', "")) } else { node(inside) }
        }
        None => node(found?),
    }
}

/// An address, with or without a port: `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`.
fn node(text: &str) -> Option<IpAddr> {
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

/// A port, or a name in its place (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests;

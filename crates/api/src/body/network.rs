//! The network of a client, as far as one client reaches.

use std::net::{IpAddr, Ipv6Addr};

/// The network of one client: an IPv4 address, or the first 64 bits of an IPv6 address. Any device
/// can change the other 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl From<IpAddr> for ClientNetwork {
    fn from(address: IpAddr) -> Self {
        // Mapped to IPv6, all IPv4 clients would be in one network.
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
            }
            address => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_is_an_ipv4_address_or_64_bits_of_ipv6() {
        let network = |text: &str| ClientNetwork::from(text.parse::<IpAddr>().unwrap());
        for (one, other) in [
            ("203.0.113.7", "::ffff:203.0.113.7"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ] {
            assert_eq!(network(one), network(other), "{one}");
        }
        for (one, other) in [
            ("203.0.113.7", "203.0.113.8"),
            ("::ffff:203.0.113.7", "::ffff:203.0.113.8"),
            ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ] {
            assert_ne!(network(one), network(other), "{one}");
        }
    }
}

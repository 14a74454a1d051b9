//! The part of a client's address to keep with an event.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The part of a client's address to keep. The setting is `MERCURIO_CLIENT_IP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientIpPolicy {
    /// The whole address: `203.0.113.77`. In many countries this makes an event personal data.
    Full,
    /// The network, /24 for IPv4 and /48 for IPv6: `203.0.113.0`, `2001:db8:1::`.
    #[default]
    Truncated,
    /// Nothing.
    None,
}

/// The text is not a [`ClientIpPolicy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a client IP policy: use full, truncated or none")]
pub struct ClientIpPolicyError(String);

impl ClientIpPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Full, Self::Truncated, Self::None];

    /// The policy in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Truncated => "truncated",
            Self::None => "none",
        }
    }

    /// Returns the part of `address` to keep. An IPv4-mapped address (`::ffff:203.0.113.77`) counts as IPv4.
    #[must_use]
    pub fn text_of(self, address: IpAddr) -> Option<String> {
        // Truncated as IPv6, a mapped address would lose all of its IPv4 part.
        let kept = match (self, address.to_canonical()) {
            (Self::None, _) => return None,
            (Self::Full, address) => address,
            (Self::Truncated, IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Ipv4Addr::new(a, b, c, 0).into()
            }
            (Self::Truncated, IpAddr::V6(address)) => {
                // A /48 is the usual prefix of one site (RFC 6177).
                let [a, b, c, ..] = address.segments();
                Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
            }
        };
        Some(kept.to_string())
    }
}

impl FromStr for ClientIpPolicy {
    type Err = ClientIpPolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let policy = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        policy.ok_or_else(|| ClientIpPolicyError(text.chars().take(64).collect()))
    }
}

impl fmt::Display for ClientIpPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: ClientIpPolicy, address: &str, expected: Option<&str>) {
        assert_eq!(
            policy.text_of(address.parse().unwrap()).as_deref(),
            expected,
            "{policy} {address}"
        );
    }

    #[test]
    fn address_is_kept_whole_truncated_or_not_at_all() {
        check(ClientIpPolicy::Full, "203.0.113.77", Some("203.0.113.77"));
        check(ClientIpPolicy::Full, "2001:db8:1:2::3", Some("2001:db8:1:2::3"));
        check(ClientIpPolicy::Truncated, "203.0.113.77", Some("203.0.113.0"));
        check(ClientIpPolicy::Truncated, "2001:db8:1:2::3", Some("2001:db8:1::"));
        check(ClientIpPolicy::Truncated, "::1", Some("::"));
        check(ClientIpPolicy::None, "203.0.113.77", None);
    }

    #[test]
    fn ipv4_mapped_address_counts_as_ipv4() {
        check(ClientIpPolicy::Full, "::ffff:203.0.113.77", Some("203.0.113.77"));
        check(ClientIpPolicy::Truncated, "::ffff:203.0.113.77", Some("203.0.113.0"));
    }

    #[test]
    fn policy_is_read_by_name_and_truncates_by_default() {
        for policy in ClientIpPolicy::ALL {
            assert_eq!(policy.as_str().parse(), Ok(policy));
        }
        assert_eq!(ClientIpPolicy::default(), ClientIpPolicy::Truncated);
        let error = "Full".parse::<ClientIpPolicy>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"Full\" is not a client IP policy: use full, truncated or none"
        );
    }
}

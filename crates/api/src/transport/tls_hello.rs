//! TLS sent to the HTTP port, by a client with `https://` or by a proxy: recognised by its first
//! byte, and logged, because nobody finds the cause in a 400.

use mercurio_enrichment::ClientIpPolicy;
use mercurio_observability::{context, keys};
use mercurio_runtime::line_limit::LineLimit;
use slog::warn;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Type of a TLS record with a handshake (RFC 8446, section 5.1). No HTTP method begins with it.
const HANDSHAKE: u8 = 22;

/// Interval between two lines. A client that is set up wrongly tries again and again.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Clients with TLS get HTTP in response, because most of them recognise it and say so; an alert of
/// TLS would look like a TLS server with other versions.
pub(super) const DETAIL: &str = "The client sent a TLS handshake, but this port speaks plain HTTP/1.1. \
     Use http://, or the address of the proxy that terminates TLS.";

const ADVICE: &str = "use http:// for this address, or put a proxy with TLS in front of it: see \
     \"TLS to clients\" in docs/deployment.md";

/// Whether the first bytes of a connection begin a TLS handshake.
pub(super) fn is_tls(first: &[u8]) -> bool {
    first.first() == Some(&HANDSHAKE)
}

/// Logs TLS handshakes, once a minute.
pub(super) struct TlsHelloLog {
    lines: LineLimit<()>,
    client_ip: ClientIpPolicy,
}

impl TlsHelloLog {
    pub(super) fn new(client_ip: ClientIpPolicy) -> Self {
        Self { lines: LineLimit::once_in(LINE_EVERY), client_ip }
    }

    /// `peer` is the client, or a proxy that is set up to send TLS.
    pub(super) fn log(&self, peer: Option<SocketAddr>) {
        if let Some(not_logged) = self.lines.admit((), Instant::now()) {
            warn!(context::current(), "TLS on the HTTP port";
                keys::CLIENT_IP => peer.and_then(|peer| self.client_ip.text_of(peer.ip())),
                keys::ADVICE => ADVICE,
                keys::NOT_LOGGED => Some(not_logged).filter(|omitted| *omitted > 0));
        }
    }
}

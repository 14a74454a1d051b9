//! The client's address and network, behind trusted proxies.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use mercurio_enrichment::client_address;

use crate::body::ClientNetwork;
use crate::state::AppState;

/// Returns the client's full address. `MERCURIO_CLIENT_IP` limits what is stored and logged of it.
/// `None` without a peer, as in a test.
pub(crate) fn client_ip(state: &AppState, request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let header = &state.settings.client_ip_header;
    let lines = request.headers().get_all(header.name());
    // A line that is not ASCII has no address, but still counts as a line.
    let lines: Vec<&str> = lines.map(|line| line.to_str().unwrap_or_default()).collect();
    // The header counts only from a trusted proxy: any client can send one.
    Some(client_address(peer, header, &lines, &state.settings.trusted_proxies))
}

/// Returns the client's network. Clients without a peer, as in a test, share one.
pub(crate) fn client_network(state: &AppState, request: &HttpRequest) -> ClientNetwork {
    client_ip(state, request).unwrap_or(Ipv4Addr::UNSPECIFIED.into()).into()
}

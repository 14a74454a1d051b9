//! The client's address, behind trusted proxies.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{FORWARDED, HeaderName, X_FORWARDED_FOR};
use mercurio_enrichment::client_address;

use crate::state::AppState;

/// Returns the client's full address. `MERCURIO_CLIENT_IP` limits what is stored and logged of it.
/// `None` without a peer, as in a test.
pub(crate) fn client_ip(state: &AppState, request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let forwarded = header_values(request, FORWARDED);
    let x_forwarded_for = header_values(request, X_FORWARDED_FOR);
    // A forwarding header counts only from a trusted proxy: any client can send one.
    Some(client_address(peer, &forwarded, &x_forwarded_for, &state.settings.trusted_proxies))
}

fn header_values(request: &HttpRequest, name: HeaderName) -> Vec<&str> {
    request.headers().get_all(name).filter_map(|value| value.to_str().ok()).collect()
}

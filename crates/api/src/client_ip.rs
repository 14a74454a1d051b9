//! The address of the client behind a request, past the proxies whose word is taken.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{FORWARDED, HeaderName, X_FORWARDED_FOR};
use mercurio_enrichment::client_address;

use crate::state::AppState;

/// The client's address. It is kept and logged only as `MERCURIO_CLIENT_IP` says. `None`: there is no peer, as in a test.
pub(crate) fn client_ip(state: &AppState, request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let values = |name: HeaderName| -> Vec<&str> {
        request.headers().get_all(name).filter_map(|value| value.to_str().ok()).collect()
    };
    let (forwarded, x_forwarded_for) = (values(FORWARDED), values(X_FORWARDED_FOR));
    Some(client_address(peer, &forwarded, &x_forwarded_for, &state.settings.trusted_proxies))
}

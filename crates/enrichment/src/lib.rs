//! Enriches valid events: location, device and campaign, from the request and from the event's own
//! context.
//!
//! Call [`Enricher::new`] once a process, [`Enricher::request`] once a request and
//! [`RequestEnrichment::enrich`] once an event. [`client_address()`] finds the address to pass in.
//!
//! The steps in order. The first three need only the request and run once for all of its events:
//!
//! 1. `geo`: the location of the client's address, before the address is truncated;
//! 2. `client_ip`: the client's address, whole, truncated or omitted;
//! 3. [`user_agent`]: device, operating system and browser, from the request's header;
//! 4. [`user_agent`] again if `context.user_agent` is a string, in place of the header;
//! 5. `page`: path and campaign from `context.page.url`, unless the client sent them itself.
//!
//! The client's own members never change: the result is a member of its own. A client's clock is
//! corrected earlier, by the check of the event (ADR 4). The crate does no I/O and knows no clock,
//! SQL or HTTP types: the caller reads the GeoIP file.

mod client_address;
mod client_ip;
mod context;
mod geo;
mod page;
mod request;
pub mod user_agent;

use std::net::IpAddr;

use mercurio_domain::enrichment::Enrichment;

pub use client_address::{
    ClientIpHeader, ClientIpHeaderError, TrustedProxies, TrustedProxiesError, client_address,
};
pub use client_ip::{ClientIpPolicy, ClientIpPolicyError};
pub use geo::{GeoDatabase, GeoDatabaseError};
pub use request::RequestEnrichment;
use user_agent::UserAgents;

/// The configuration of an [`Enricher`].
#[derive(Debug, Default)]
pub struct EnricherOptions {
    /// The part of a client's address to keep.
    pub client_ip: ClientIpPolicy,
    /// The locations of addresses; `None` to add none.
    pub geo: Option<GeoDatabase>,
}

/// The client of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientInfo<'a> {
    /// The whole address, from [`client_address()`].
    pub client_ip: Option<IpAddr>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a str>,
}

/// Computes the enrichment of requests. One per process, shared by all threads.
#[derive(Debug)]
pub struct Enricher {
    client_ip: ClientIpPolicy,
    geo: Option<GeoDatabase>,
    user_agents: UserAgents,
}

impl Enricher {
    /// Starts with an empty cache of user agents.
    #[must_use]
    pub fn new(options: EnricherOptions) -> Self {
        let EnricherOptions { client_ip, geo } = options;
        Self { client_ip, geo, user_agents: UserAgents::default() }
    }

    /// Returns the part of a client's address to keep.
    #[must_use]
    pub fn client_ip_policy(&self) -> ClientIpPolicy {
        self.client_ip
    }

    /// Compiles the patterns of user agents, so that no request has to. Blocks for some tenths of a
    /// second; call it on a thread of its own during start-up.
    pub fn warm_up(&self) {
        user_agent::warm_up();
    }

    /// Computes the part that all events of a request have in common.
    #[must_use]
    pub fn request(&self, client: &ClientInfo<'_>) -> RequestEnrichment {
        let agent = client.user_agent.map(|text| self.user_agents.parse(text));
        let mut common = Enrichment {
            // By the whole address: a truncated one can lie in another network of the database.
            geo: client.client_ip.and_then(|address| self.geo.as_ref()?.lookup(address)),
            client_ip: client.client_ip.and_then(|address| self.client_ip.text_of(address)),
            ..Enrichment::default()
        };
        if let Some(agent) = &agent {
            agent.describe(&mut common);
        }
        RequestEnrichment::new(common, agent, self.user_agents.clone())
    }
}

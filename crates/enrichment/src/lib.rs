//! Adds to a valid event what the edge of the service knows, and what the event's own context implies.
//!
//! Used in three calls: [`Enricher::new`] once a process, [`Enricher::request`] once a request,
//! [`RequestEnrichment::enrich`] once an event. [`client_address()`] tells a server which address to hand in.
//!
//! The steps, in their order. The first three need only the request and run once for all of its events; the others need
//! the event's context:
//!
//! 1. `geo`: the place of the client's address, looked up before the address is truncated;
//! 2. `client_ip`: the client's address, in full, truncated or not at all;
//! 3. [`user_agent`]: device, operating system and browser, from the request's header;
//! 4. [`user_agent`] again, where `context.user_agent` is a text: that one then counts, and the header does not;
//! 5. `page`: the path of the page and its campaign, from `context.page.url`, where the client did not send them itself.
//!
//! What the client sent is never changed: the result goes into a member of its own. A client's clock is not corrected
//! here but while the event is checked (`mercurio_domain::clock::corrected`), since the rules must see the corrected time.
//!
//! Not here: input and output, clocks, SQL, HTTP types. The file of the GeoIP database is read by the caller.

mod client_address;
mod client_ip;
mod context;
mod geo;
mod page;
mod request;
pub mod user_agent;

use std::net::IpAddr;

use mercurio_domain::enrichment::Enrichment;

pub use client_address::{TrustedProxies, TrustedProxiesError, client_address};
pub use client_ip::{ClientIpPolicy, ClientIpPolicyError};
pub use geo::{GeoDatabase, GeoDatabaseError};
pub use request::RequestEnrichment;
use user_agent::UserAgents;

/// What an [`Enricher`] is told once.
#[derive(Debug, Default)]
pub struct EnricherOptions {
    /// How much of a client's address is kept.
    pub client_ip: ClientIpPolicy,
    /// Where addresses are, if anybody knows.
    pub geo: Option<GeoDatabase>,
}

/// What the edge of the service knows of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientInfo<'a> {
    /// The address of the client, in full: see [`client_address()`].
    pub client_ip: Option<IpAddr>,
    /// The request's `User-Agent` header.
    pub user_agent: Option<&'a str>,
}

/// Makes the enrichment of requests. One a process; shared by reference between threads.
#[derive(Debug)]
pub struct Enricher {
    client_ip: ClientIpPolicy,
    geo: Option<GeoDatabase>,
    user_agents: UserAgents,
}

impl Enricher {
    /// An enricher with an empty cache of user agents.
    #[must_use]
    pub fn new(options: EnricherOptions) -> Self {
        let EnricherOptions { client_ip, geo } = options;
        Self { client_ip, geo, user_agents: UserAgents::default() }
    }

    /// How much of a client's address is kept.
    #[must_use]
    pub fn client_ip_policy(&self) -> ClientIpPolicy {
        self.client_ip
    }

    /// Compiles the patterns of user agents, which else the first request with a user agent does.
    ///
    /// Takes some tenths of a second once a process, and blocks for that long; see [`user_agent`]. Meant for a thread of
    /// its own while the server starts.
    pub fn warm_up(&self) {
        user_agent::warm_up();
    }

    /// What all events of a request have in common.
    #[must_use]
    pub fn request(&self, edge: &ClientInfo<'_>) -> RequestEnrichment {
        let agent = edge.user_agent.map(|text| self.user_agents.parse(text));
        let mut common = Enrichment {
            geo: edge.client_ip.and_then(|address| self.geo.as_ref()?.lookup(address)),
            client_ip: edge.client_ip.and_then(|address| self.client_ip.text_of(address)),
            ..Enrichment::default()
        };
        if let Some(agent) = &agent {
            agent.describe(&mut common);
        }
        RequestEnrichment::new(common, agent, self.user_agents.clone())
    }
}

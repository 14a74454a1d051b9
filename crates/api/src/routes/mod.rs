//! The paths of the service and the addresses that serve them.

mod disguise;
pub mod docs;
pub mod feed;
mod foreign;
pub mod health;
pub mod limits;
pub mod metrics;
mod parameters;
pub mod problems;
mod query;
pub mod read;
mod rejection_query;
pub mod rejections;
mod root;
mod table;
pub(crate) mod wire;
pub mod write;

use actix_web::web::ServiceConfig;
use mercurio_protocols::Protocols;

pub(crate) use disguise::is_disguised;
use table::Routes;

/// The paths of one address. Every address serves `/problems/{code}`, `/health/live` and
/// `/health/ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// All paths.
    Whole,
    /// The paths for clients.
    Public,
    /// The paths for operators.
    Management,
}

/// Adds the paths of `surface`. `public_docs`: the documentation is for clients too. Clients of
/// `protocols` have paths of their own.
pub fn configure(
    surface: Surface,
    public_docs: bool,
    protocols: Protocols,
) -> impl FnOnce(&mut ServiceConfig) {
    move |config: &mut ServiceConfig| {
        let mut routes = Routes::new(config);
        add_routes(&mut routes, surface, public_docs);
        if surface != Surface::Management {
            foreign::configure(&mut routes, protocols);
        }
        routes.finish();
    }
}

fn add_routes(routes: &mut Routes<'_>, surface: Surface, public_docs: bool) {
    let serves_docs = public_docs || surface == Surface::Management;
    routes.get("/health/live", health::live).get("/health/ready", health::ready);
    problems::configure(routes, serves_docs);
    if serves_docs {
        docs::configure(routes);
        routes.get("/", root::root);
    }
    // These reveal load and tenant ids; a management address hides them from clients.
    if surface != Surface::Public {
        routes.get("/health", health::health).get("/metrics", metrics::metrics);
    }
    if surface != Surface::Management {
        routes
            // Before the pattern that matches them too.
            .post("/v1/events/track", write::track)
            .post("/v1/events/batch", write::batch)
            .get("/v1/limits", limits::limits)
            .get("/v1/feed", feed::feed)
            .get("/v1/events", read::events)
            .get("/v1/events/{event_id}", read::event)
            .get("/v1/rejections", rejections::rejections)
            .get("/v1/rejections/summary", rejections::summary);
    }
}

/// Returns every path of the service.
#[cfg(test)]
pub(crate) fn paths() -> std::collections::BTreeSet<&'static str> {
    let mut paths = std::collections::BTreeSet::new();
    actix_web::App::new().configure(|config| {
        let mut routes = Routes::new(config);
        add_routes(&mut routes, Surface::Whole, true);
        paths.extend(routes.patterns());
    });
    paths
}

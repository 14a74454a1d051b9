//! The paths of the service and the addresses that serve them.

mod disguise;
pub mod docs;
pub mod health;
pub mod limits;
pub mod metrics;
pub mod problems;
mod query;
pub mod read;
pub(crate) mod wire;
pub mod write;
mod write_headers;

use actix_web::web::{self, ServiceConfig};

pub(crate) use disguise::is_disguised;

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

/// Adds the paths of `surface`. `public_docs`: the documentation is for clients too.
pub fn configure(surface: Surface, public_docs: bool) -> impl FnOnce(&mut ServiceConfig) {
    move |config: &mut ServiceConfig| {
        let serves_docs = public_docs || surface == Surface::Management;
        // `web::resource` instead of the macros: those answer a wrong method with 404 in place of
        // 405.
        config
            .service(
                web::resource("/health/live")
                    .route(web::get().to(health::live))
                    // actix does not route HEAD to a GET handler.
                    .route(web::head().to(health::live)),
            )
            .service(
                web::resource("/health/ready")
                    .route(web::get().to(health::ready))
                    .route(web::head().to(health::ready)),
            );
        problems::configure(config, serves_docs);
        if serves_docs {
            docs::configure(config);
        }
        // These reveal load and tenant ids; a management address hides them from clients.
        if surface != Surface::Public {
            config
                .service(
                    web::resource("/health")
                        .route(web::get().to(health::health))
                        .route(web::head().to(health::health)),
                )
                .service(
                    web::resource("/metrics")
                        .route(web::get().to(metrics::metrics))
                        .route(web::head().to(metrics::metrics)),
                );
        }
        if surface != Surface::Management {
            config
                .service(web::resource("/v1/events/track").route(web::post().to(write::track)))
                .service(web::resource("/v1/events/batch").route(web::post().to(write::batch)))
                .service(
                    web::resource("/v1/limits")
                        .route(web::get().to(limits::limits))
                        .route(web::head().to(limits::limits)),
                )
                .service(
                    web::resource("/v1/events")
                        .route(web::get().to(read::events))
                        .route(web::head().to(read::events)),
                )
                .service(
                    web::resource("/v1/events/{event_id}")
                        .route(web::get().to(read::event))
                        .route(web::head().to(read::event)),
                );
        }
    }
}

//! The paths of the service, and which address serves them.

pub mod docs;
pub mod health;
pub mod limits;
pub mod metrics;
mod query;
pub mod read;
pub(crate) mod wire;
pub mod write;

use actix_web::web::{self, ServiceConfig};

/// Which paths an address serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Everything.
    Whole,
    /// What clients need; of the paths for operators only the two that a probe needs.
    Public,
    /// What operators need.
    Management,
}

/// Adds the paths of `surface`.
pub fn configure(surface: Surface) -> impl FnOnce(&mut ServiceConfig) {
    move |config: &mut ServiceConfig| {
        // `web::resource` and not the macros: those answer 404 where 405 is due.
        config
            .service(
                web::resource("/health/live")
                    .route(web::get().to(health::live))
                    .route(web::head().to(health::live)),
            )
            .service(
                web::resource("/health/ready")
                    .route(web::get().to(health::ready))
                    .route(web::head().to(health::ready)),
            );
        if surface != Surface::Public {
            docs::configure(config);
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

//! The whole service without a socket: middleware, paths, state. Tests drive it as it is.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::web::Data;
use actix_web::{App, Error};
use slog::Logger;

use crate::cors;
use crate::middleware::RequestMiddleware;
use crate::routes::{Surface, configure};
use crate::state::AppState;

/// The service of one address.
pub fn app(
    state: Data<AppState>,
    log: Logger,
    surface: Surface,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let middleware =
        RequestMiddleware::new(log, Arc::clone(&state.metrics), Arc::clone(&state.ids))
            .with_traces(state.traces.clone())
            .with_slow(state.settings.slow_request);
    let cors = cors::cors(&state.settings.cors_origins);
    App::new().app_data(state).configure(configure(surface)).wrap(cors).wrap(middleware)
}

//! The whole service without a socket: middleware, routes and state.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::web::Data;
use actix_web::{App, Error, ResponseError};
use slog::Logger;

use crate::cors;
use crate::middleware::RequestMiddleware;
use crate::openapi;
use crate::problem::Problem;
use crate::routes::docs::OpenApiSource;
use crate::routes::{Surface, configure, is_disguised};
use crate::state::AppState;

/// Returns the service of one address.
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
            .with_slow(state.settings.slow_request)
            .with_refusals(Arc::clone(&state.refusals));
    let protocols = state.settings.protocols.enabled;
    let cors = cors::cors(&state.settings.cors_origins);
    let public_docs = state.settings.public_docs;
    // The last one is the outermost: it also handles responses of CORS.
    App::new()
        .app_data(state)
        // Passed in: the document describes the routes, so they cannot import it.
        .app_data(Data::new(OpenApiSource(openapi::json)))
        .configure(configure(surface, public_docs, protocols))
        .wrap_fn(|request, routes| {
            let is_disguised = is_disguised(request.method(), request.uri().path());
            let routed = if is_disguised { Err(request) } else { Ok(routes.call(request)) };
            async move {
                match routed {
                    Ok(response) => response.await,
                    Err(request) => Ok(request.into_response(disguised_path().error_response())),
                }
            }
        })
        .wrap(cors)
        .wrap(middleware)
}

fn disguised_path() -> Problem {
    let detail = "There is no resource at this path; send letters, digits, -, ., _ and ~ in it without \
                  percent-encoding.";
    Problem::NotFound { detail: detail.into() }
}

//! `GET /`: leads to the documentation. Only on an address that serves it.

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use serde::Serialize;

/// Where to read on, for a client that does not follow redirects.
#[derive(Serialize)]
struct Documentation {
    docs: &'static str,
    openapi: &'static str,
}

/// Redirects to the documentation.
pub(super) async fn root() -> HttpResponse {
    let documentation = Documentation { docs: "/docs", openapi: "/openapi.json" };
    HttpResponse::Found().insert_header((LOCATION, documentation.docs)).json(documentation)
}

//! Cross-origin requests: the origins whose pages may send events and read responses.
//!
//! Wraps the routes, inside the request middleware: a refused preflight becomes a problem there.
//! Browser credentials are never allowed: the page itself sends the key. Not here: authentication.

use actix_cors::Cors;
use actix_web::http::Method;

/// Allows all origins.
const ANY: &str = "*";

/// The response headers a page may read, in addition to those that browsers always allow.
const EXPOSED_HEADERS: [&str; 4] = ["X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy"];

/// Lifetime of a preflight response: one day. Browsers apply a lower maximum of their own.
const MAX_AGE_SECONDS: usize = 86_400;

/// Returns the middleware for `origins`, in the form of the `Origin` header. `*` allows every
/// origin, an empty list none.
pub fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        // HEAD needs no entry: browsers always allow it.
        .allowed_methods([Method::GET, Method::POST])
        // Clients of other services have headers of their own, and none gives a page a right.
        .allow_any_header()
        .expose_headers(EXPOSED_HEADERS)
        .max_age(MAX_AGE_SECONDS);
    if origins.iter().any(|origin| origin == ANY) {
        // `*` instead of the origin: caches can share the response between pages.
        return cors.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::RequestMiddleware;
    use actix_web::http::StatusCode;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};
    use mercurio_observability::Metrics;
    use mercurio_runtime::system::UuidV7Ids;
    use slog::{Discard, Logger, o};
    use std::sync::Arc;

    /// Sends a request to an app for `origins`. Returns the status, and the headers one per line.
    async fn send(origins: &[&str], request: TestRequest) -> (StatusCode, String) {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        let middleware = RequestMiddleware::new(
            Logger::root(Discard, o!()),
            Metrics::new(),
            Arc::new(UuidV7Ids),
        );
        let post = web::resource("/v1/events/track").route(web::post().to(HttpResponse::Ok));
        let app =
            init_service(App::new().service(post).wrap(cors(&origins)).wrap(middleware)).await;
        let response = call_service(&app, request.to_request()).await;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
        (response.status(), headers.collect::<String>().to_lowercase())
    }

    fn preflight(
        path: &str,
        origin: &'static str,
        method: &'static str,
        headers: &'static str,
    ) -> TestRequest {
        let request = TestRequest::with_uri(path).method(Method::OPTIONS);
        let request = request
            .insert_header(("origin", origin))
            .insert_header(("access-control-request-method", method));
        request.insert_header(("access-control-request-headers", headers))
    }

    #[actix_web::test]
    async fn preflight_allows_the_requested_headers_on_any_path() {
        // A path without a route passes too: CORS answers preflights before routing.
        for path in ["/v1/events/track", "/v1/nowhere"] {
            // Those of RudderStack's client when it repeats a request.
            let headers =
                "anonymousid,authorization,content-type,idempotency-key,rsa-retry-attempt,sentat";
            let (status, headers) =
                send(&["*"], preflight(path, "https://a.example", "POST", headers)).await;
            assert_eq!(status, StatusCode::OK, "{headers}");
            for expected in [
                "access-control-allow-origin: *\n",
                "access-control-max-age: 86400\n",
                "x-request-id: ",
                "anonymousid",
                "idempotency-key",
                "rsa-retry-attempt",
                "post",
            ] {
                assert!(headers.contains(expected), "{expected}: {headers}");
            }
            assert!(!headers.contains("credentials"), "{headers}");
        }
    }

    #[actix_web::test]
    async fn preflight_for_anything_not_allowed_is_a_problem() {
        for (origin, method, headers) in [
            ("https://b.example", "POST", "content-type"),
            ("https://a.example", "DELETE", "content-type"),
        ] {
            let request = preflight("/v1/events/track", origin, method, headers);
            let (status, headers) = send(&["https://a.example"], request).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert!(headers.contains("content-type: application/problem+json\n"), "{headers}");
        }
    }

    #[actix_web::test]
    async fn response_is_readable_by_allowed_origins_only() {
        let (here, elsewhere) = ("https://a.example", "https://b.example");
        for (origins, path, expected) in [
            (&["*"][..], "/v1/events/track", Some("*")),
            (&[elsewhere, here], "/v1/events/track", Some(here)),
            (&[elsewhere, here], "/v1/nowhere", Some(here)),
            (&[elsewhere], "/v1/events/track", None),
            (&[], "/v1/events/track", None),
        ] {
            let request = TestRequest::post().uri(path).insert_header(("origin", here));
            let (_, headers) = send(origins, request).await;
            let allowed =
                headers.lines().find_map(|line| line.strip_prefix("access-control-allow-origin: "));
            assert_eq!(allowed, expected, "{origins:?}: {headers}");
            assert!(
                // Browsers enforce the origin; the server lists the exposed headers in every case.
                headers.contains("retry-after") && headers.contains("ratelimit-policy"),
                "{origins:?}: {headers}"
            );
        }
    }
}

//! Cross-origin requests: which pages' scripts may send events and read answers.
//!
//! Goes around the routes and inside the middleware, which turns a refused preflight into a problem. Cookies and other
//! credentials of the browser are never asked for: a key is sent by the page itself. Not here: authentication.

use actix_cors::Cors;
use actix_web::http::Method;

/// The origin that stands for all of them.
const ANY: &str = "*";

/// The headers a page may send; those the browser always allows are not repeated.
const REQUEST_HEADERS: [&str; 8] = [
    "authorization",
    "content-type",
    "content-encoding",
    "x-api-key",
    "x-request-id",
    "idempotency-key",
    "x-event-schema-version",
    "traceparent",
];

/// The headers of an answer that a page may read.
const EXPOSED_HEADERS: [&str; 4] = ["X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy"];

/// How long a browser may go without asking again: a day. Browsers cut it to what they like.
const MAX_AGE_SECONDS: usize = 86_400;

/// The middleware for pages of `origins`, which are as browsers send them. With `*` among them, any page; with none,
/// no page.
pub fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST])
        .allowed_headers(REQUEST_HEADERS)
        .expose_headers(EXPOSED_HEADERS)
        .max_age(MAX_AGE_SECONDS);
    if origins.iter().any(|origin| origin == ANY) {
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

    /// Sends a request to an app for `origins`; the status and the headers of the answer, one a line.
    async fn ask(origins: &[&str], request: TestRequest) -> (StatusCode, String) {
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
    async fn a_preflight_is_answered_on_any_path_with_what_is_allowed() {
        for path in ["/v1/events/track", "/v1/nowhere"] {
            let headers = "authorization,content-type,content-encoding,x-api-key,x-request-id,idempotency-key,\
                           x-event-schema-version,traceparent";
            let (status, headers) =
                ask(&["*"], preflight(path, "https://a.example", "POST", headers)).await;
            assert_eq!(status, StatusCode::OK, "{headers}");
            for expected in [
                "access-control-allow-origin: *\n",
                "access-control-max-age: 86400\n",
                "x-request-id: ",
                "idempotency-key",
                "post",
            ] {
                assert!(headers.contains(expected), "{expected}: {headers}");
            }
            assert!(!headers.contains("credentials"), "{headers}");
        }
    }

    #[actix_web::test]
    async fn a_preflight_that_asks_for_too_much_is_a_problem() {
        for (origin, method, headers) in [
            ("https://b.example", "POST", "content-type"),
            ("https://a.example", "DELETE", "content-type"),
            ("https://a.example", "POST", "x-unknown"),
        ] {
            let request = preflight("/v1/events/track", origin, method, headers);
            let (status, headers) = ask(&["https://a.example"], request).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert!(headers.contains("content-type: application/problem+json\n"), "{headers}");
        }
    }

    #[actix_web::test]
    async fn an_answer_can_be_read_by_pages_of_the_origins_and_no_others() {
        let check = async |origins: &[&str], path: &str, expected: Option<&str>| {
            let request =
                TestRequest::post().uri(path).insert_header(("origin", "https://a.example"));
            let (_, headers) = ask(origins, request).await;
            let allowed =
                headers.lines().find_map(|line| line.strip_prefix("access-control-allow-origin: "));
            assert_eq!(allowed, expected, "{origins:?}: {headers}");
            assert!(
                headers.contains("retry-after") && headers.contains("ratelimit-policy"),
                "{origins:?}: {headers}"
            );
        };
        check(&["*"], "/v1/events/track", Some("*")).await;
        check(
            &["https://b.example", "https://a.example"],
            "/v1/events/track",
            Some("https://a.example"),
        )
        .await;
        check(
            &["https://b.example", "https://a.example"],
            "/v1/nowhere",
            Some("https://a.example"),
        )
        .await;
        check(&["https://b.example"], "/v1/events/track", None).await;
        check(&[], "/v1/events/track", None).await;
    }
}

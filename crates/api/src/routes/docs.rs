//! The documentation: `GET /openapi.json`, and a page of it at `GET /docs` that needs nothing from elsewhere.
//!
//! The page's viewer is in `assets/swagger-ui`, compressed: every browser takes it so, and whoever does not gets it inflated.

use std::io::Read;
use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ContentType,
    HeaderMap, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use flate2::read::GzDecoder;
use utoipa::ToSchema;

use crate::openapi::document;
use crate::problem::Problem;

/// Made once: it does not change while the process runs.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());

const PAGE: &str = include_str!("../../assets/docs.html");
const SCRIPT: &str = include_str!("../../assets/docs.js");
const VIEWER: &[u8] = include_bytes!("../../assets/swagger-ui/swagger-ui-bundle.js.gz");
const STYLE: &[u8] = include_bytes!("../../assets/swagger-ui/swagger-ui.css.gz");

/// The page takes nothing from another origin and sends nothing there, whatever its viewer may try.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A day: the files change with the server's version only.
const KEEP: &str = "max-age=86400";

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Adds the paths.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/openapi.json")
                .route(web::get().to(openapi))
                .route(web::head().to(openapi)),
        )
        .service(web::resource("/docs").route(web::get().to(page)).route(web::head().to(page)))
        .service(
            web::resource("/docs/{file}").route(web::get().to(file)).route(web::head().to(file)),
        );
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "Documentation", responses(
    (status = 200, description = "The API in OpenAPI 3.1.", body = Object, content_type = "application/json"),
))]
pub async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(DOCUMENT.as_str())
}

/// This document as a page to read.
#[utoipa::path(get, path = "/docs", tag = "Documentation", responses(
    (status = 200, description = "The page.", body = String, content_type = "text/html"),
))]
pub async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(PAGE)
}

/// A file that the page needs.
#[derive(ToSchema)]
#[schema(as = PageFile)]
#[expect(dead_code, reason = "the document alone reads it; a test asks for each of them")]
pub(crate) enum File {
    #[schema(rename = "page.js")]
    Script,
    #[schema(rename = "swagger-ui-bundle.js")]
    Viewer,
    #[schema(rename = "swagger-ui.css")]
    Style,
}

/// A file that the page needs.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "Documentation",
    params(("file" = inline(File), Path, description = "Its name.")),
    responses((status = 200, description = "The file.", content(
        (String = "text/javascript"),
        (String = "text/css"),
    ))),
)]
pub async fn file(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Problem> {
    let (content_type, compressed) = match name.as_str() {
        "page.js" => return Ok(kept(JAVASCRIPT).body(SCRIPT)),
        "swagger-ui-bundle.js" => (JAVASCRIPT, VIEWER),
        "swagger-ui.css" => (CSS, STYLE),
        _ => return Err(Problem::NotFound),
    };
    if takes_gzip(request.headers()) {
        return Ok(kept(content_type).insert_header((CONTENT_ENCODING, "gzip")).body(compressed));
    }
    let mut inflated = Vec::new();
    GzDecoder::new(compressed).read_to_end(&mut inflated).map_err(|_| Problem::Internal)?;
    Ok(kept(content_type).body(inflated))
}

fn kept(content_type: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header((CACHE_CONTROL, KEEP))
        .insert_header((VARY, "accept-encoding"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = |weight: &str| {
            weight.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0)
        };
        named && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn gzip_goes_to_whoever_takes_it() {
        let check = |value: &'static str, takes: bool| {
            let headers =
                [(ACCEPT_ENCODING, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(takes_gzip(&headers), takes, "{value}");
        };
        assert!(!takes_gzip(&HeaderMap::new()));
        check("gzip, deflate, br", true);
        check("br;q=1.0, GZIP;q=0.5", true);
        check("identity", false);
        check("gzip;q=0", false);
        check("gzip; q=0.0", false);
        check("x-gzip2", false);
    }
}

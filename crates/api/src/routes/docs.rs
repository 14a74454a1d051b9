//! The documentation: `GET /openapi.json`, and a page at `GET /docs` without external resources.
//!
//! The page's viewer is in `assets/swagger-ui`, compressed with gzip. Clients without gzip get it decompressed.

use std::io::Read;
use std::sync::OnceLock;

use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ContentType,
    HeaderMap, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use flate2::read::GzDecoder;
use utoipa::ToSchema;

use super::table::Routes;
use crate::problem::Problem;

/// Returns the OpenAPI document. The app provides it: the document describes these routes, so that they cannot import it.
#[derive(Clone, Copy)]
pub struct OpenApiSource(pub fn() -> &'static str);

const PAGE: &str = include_str!("../../assets/docs.html");
const PAGE_SCRIPT: &str = include_str!("../../assets/docs.js");
const PAGE_STYLE: &str = include_str!("../../assets/docs.css");
static VIEWER: Compressed =
    Compressed::new(JAVASCRIPT, include_bytes!("../../assets/swagger-ui/swagger-ui-bundle.js.gz"));
static STYLE: Compressed =
    Compressed::new(CSS, include_bytes!("../../assets/swagger-ui/swagger-ui.css.gz"));

/// The page loads nothing from another origin and sends nothing there, even if its viewer tries to.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// One day: the files change only with the server's version.
pub(super) const CACHE_ONE_DAY: &str = "max-age=86400";

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/openapi.json", openapi).get("/docs", page).get("/docs/{file}", file);
}

/// Returns this document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "getOpenApi", tag = "Documentation", responses(
    // A map, because generators take `Object` for one without members.
    (status = 200, description = "The API in OpenAPI 3.1.", body = HashMap<String, serde_json::Value>),
))]
pub async fn openapi(source: Data<OpenApiSource>) -> HttpResponse {
    let OpenApiSource(document) = **source;
    HttpResponse::Ok().content_type(ContentType::json()).body(document())
}

/// Returns this document as a page to read and try.
#[utoipa::path(get, path = "/docs", operation_id = "getDocs", tag = "Documentation", responses(
    (status = 200, description = "The page.", body = String, content_type = "text/html"),
))]
pub async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(PAGE)
}

/// The names of the page's files.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the OpenAPI document uses it; a test requests each file")]
pub(crate) enum PageFile {
    #[schema(rename = "page.js")]
    PageScript,
    #[schema(rename = "page.css")]
    PageStyle,
    #[schema(rename = "swagger-ui-bundle.js")]
    Viewer,
    #[schema(rename = "swagger-ui.css")]
    Style,
}

/// Returns a file of the page.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    operation_id = "getDocsFile",
    tag = "Documentation",
    params(("file" = inline(PageFile), Path, description = "The name of the file.")),
    responses((status = 200, description = "The file.", content(
        (String = "text/javascript"),
        (String = "text/css"),
    ))),
)]
pub async fn file(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Problem> {
    let file = match name.as_str() {
        // Small, and stored uncompressed.
        "page.js" => return Ok(cached(JAVASCRIPT).body(PAGE_SCRIPT)),
        "page.css" => return Ok(cached(CSS).body(PAGE_STYLE)),
        "swagger-ui-bundle.js" => &VIEWER,
        "swagger-ui.css" => &STYLE,
        _ => return Err(Problem::no_path()),
    };
    let mut response = cached(file.content_type);
    // Nearly every client: the file is sent as stored, without any work.
    if accepts_gzip(request.headers()) {
        return Ok(response.insert_header((CONTENT_ENCODING, "gzip")).body(file.gzip));
    }
    Ok(response.body(file.inflated()?))
}

/// A file stored with gzip.
struct Compressed {
    content_type: &'static str,
    gzip: &'static [u8],
    /// Decompressed for the first client without gzip, which takes milliseconds.
    plain: OnceLock<Bytes>,
}

impl Compressed {
    const fn new(content_type: &'static str, gzip: &'static [u8]) -> Self {
        Self { content_type, gzip, plain: OnceLock::new() }
    }

    fn inflated(&self) -> Result<Bytes, Problem> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain.clone());
        }
        let mut inflated = Vec::new();
        GzDecoder::new(self.gzip).read_to_end(&mut inflated).map_err(|_| Problem::Internal)?;
        Ok(self.plain.get_or_init(|| inflated.into()).clone())
    }
}

fn cached(content_type: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header((CACHE_CONTROL, CACHE_ONE_DAY))
        // Caches must not send gzip to a client that does not accept it.
        .insert_header((VARY, "accept-encoding"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !parts.any(is_weight_zero)
    })
}

/// `q=0` means "not acceptable" (RFC 9110, 12.4.2).
fn is_weight_zero(parameter: &str) -> bool {
    parameter.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn file_is_decompressed_once() {
        for file in [&VIEWER, &STYLE] {
            let plain = file.inflated().unwrap();
            assert!(plain.len() > file.gzip.len());
            assert_eq!(file.inflated().unwrap().as_ptr(), plain.as_ptr());
        }
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        assert!(!accepts_gzip(&HeaderMap::new()));
        for (value, accepts) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("x-gzip2", false),
        ] {
            let headers =
                [(ACCEPT_ENCODING, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(accepts_gzip(&headers), accepts, "{value}");
        }
    }
}

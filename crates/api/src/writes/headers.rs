//! The headers of a write request: the schema version and the idempotency key.
//!
//! Each may appear only once: it decides what is stored, and picking one of two would be a guess.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use mercurio_domain::limits::MAX_IDEMPOTENCY_KEY_CHARS;
use mercurio_domain::schema_version::SchemaVersion;
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

const X_EVENT_SCHEMA_VERSION: HeaderName = HeaderName::from_static("x-event-schema-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The headers, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only the OpenAPI document uses it")]
pub(crate) struct WriteHeaderParameters {
    /// The schema version of events without `schema_version`. Default: `1.0.0`.
    #[param(rename = "X-Event-Schema-Version", nullable = false)]
    x_event_schema_version: Option<SchemaVersion>,
    /// Makes a request without `event_id`s safe to repeat: the server derives each missing id from the tenant, this key, the
    /// event's index and its bytes. Bare or quoted.
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        max_length = 255,
        pattern = r#"^([!-~]|[!#-~][!-~]|[!-~][!#-~]|[!-~][\t -~]+[!-~])$"#
    )]
    idempotency_key: Option<String>,
    /// The compression of the body: at most one coding, in any case. Size limits apply after decompression, which stops at
    /// the limit.
    #[param(rename = "Content-Encoding", nullable = false, inline)]
    content_encoding: Option<ContentCoding>,
}

/// The supported codings.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "only the OpenAPI document uses it; a test compares it with the decoders"
)]
enum ContentCoding {
    Gzip,
    Br,
    Zstd,
    Deflate,
    /// Not compressed.
    Identity,
}

/// The headers of one request.
#[derive(Default)]
pub(crate) struct WriteHeaders {
    pub(crate) schema_version: SchemaVersion,
    pub(crate) idempotency_key: Option<String>,
}

impl WriteHeaders {
    pub(crate) fn read(request: &HttpRequest) -> Result<Self, Problem> {
        Ok(Self {
            schema_version: schema_version(request)?,
            idempotency_key: idempotency_key(request)?,
        })
    }
}

fn schema_version(request: &HttpRequest) -> Result<SchemaVersion, Problem> {
    let values = request.headers().get_all(X_EVENT_SCHEMA_VERSION);
    let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    if values.is_empty() {
        return Ok(SchemaVersion::default());
    }
    // A repeated header is a list (RFC 9110, 5.3), and a list is not a version.
    let text = values.join(", ");
    SchemaVersion::parse(&text).map_err(|_| Problem::InvalidSchemaVersion { actual: text })
}

/// Reads the key of draft-ietf-httpapi-idempotency-key-header, quoted as in the draft or bare.
fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let refused = Problem::BadRequest {
        detail: "Idempotency-Key must be a single value of 1 to 255 characters in UTF-8.",
    };
    let (Ok(text), None) = (std::str::from_utf8(value.as_bytes()), values.next()) else {
        return Err(refused);
    };
    // The draft requires quotes, and most clients omit them.
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    if key.is_empty() || key.chars().count() > MAX_IDEMPOTENCY_KEY_CHARS {
        return Err(refused);
    }
    Ok(Some(key.to_owned()))
}

//! `GET /v1/feed`: every stored event of a workspace once, in the order of commits.

use actix_web::http::header::ACCEPT;
use actix_web::http::{Method, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::api_key::Scope;
use mercurio_domain::store::{FeedCursor, FeedQuery, FeedStart};
use utoipa::IntoParams;

use super::parameters::{self, ParameterError, page_limit};
use super::wire::examples;
use super::wire::read::FeedPageResponse;
use crate::auth::{KeySources, KeyWatch, authenticate};
use crate::feed_stream::{self, page, refused};
use crate::problem::{Problem, QueryError};
use crate::reads::{self, Answer};
use crate::state::AppState;

/// One JSON text a line (github.com/ndjson/ndjson-spec).
const NDJSON: &str = "application/x-ndjson";
/// The value of `after` for a start with the next event.
const NOW: &str = "now";

/// The parameters, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only the OpenAPI document uses it; a test compares its names with `NAMES`"
)]
pub(super) struct FeedParameters {
    /// The `next` of the previous page. Empty, and by default: the oldest event. `now`: the first event stored from now
    /// on; the page is empty.
    #[param(format = "mercurio-feed-cursor")]
    after: Option<String>,
    /// Maximum events on the page. A page of large events has fewer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// The parameters, in the order of the document.
const NAMES: [&str; 2] = ["after", "limit"];

/// Returns stored events in the order of their commits, oldest first.
///
/// Needs the scope `events:read`. Follow `next` from page to page, and keep it: every stored event of the workspace appears
/// exactly once, also one that was committed late. An empty page means that there are no more events yet: ask again later.
///
/// With `Accept: application/x-ndjson`, the response has all pages up to the newest event, one event a line, and after each page
/// a line `{"next": "…"}`. A response that ends without such a line was cut: go on after the last one.
#[utoipa::path(
    get,
    path = "/v1/feed",
    operation_id = "readFeed",
    tag = "Reading",
    security(("bearer" = [])),
    params(FeedParameters),
    responses((status = 200, description = "The page.", content(
        (FeedPageResponse = "application/json", example = json!(examples::feed_page())),
        (String = "application/x-ndjson"),
    ))),
)]
pub async fn feed(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let principal =
        authenticate(&state, &request, Some(Scope::EventsRead), KeySources::Headers).await?;
    let owner = principal.owner;
    let query = parse(request.query_string()).map_err(|errors| Problem::InvalidQuery { errors })?;
    let permit = reads::admit(&state, &principal)?;
    if accepts_ndjson(&request) {
        let mut response = HttpResponse::Ok();
        response.content_type(NDJSON).insert_header((header::VARY, "Accept"));
        if request.method() == Method::HEAD {
            return Ok(response.finish());
        }
        let key = KeyWatch::of(&state, &request, KeySources::Headers)?;
        return Ok(response.body(feed_stream::open(state, permit, key, owner, query).await?));
    }
    let Answer { found, permit } = reads::run(&state, permit, move |store| {
        Ok(page(store, owner, &query)?.map(|page| reads::to_json(&FeedPageResponse::from(page))))
    })
    .await?;
    Ok(reads::json_response(found.map_err(refused)??, permit))
}

/// Whether the client asks for lines of JSON.
fn accepts_ndjson(request: &HttpRequest) -> bool {
    let values = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_ndjson = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(NDJSON));
        // A weight of 0 refuses the type (RFC 9110, section 12.4.2).
        is_ndjson && !parts.any(|parameter| parameter.eq_ignore_ascii_case("q=0"))
    })
}

/// Parses a query string.
///
/// # Errors
/// The unknown, repeated and invalid parameters.
fn parse(query_string: &str) -> Result<FeedQuery, Vec<QueryError>> {
    let mut query = FeedQuery::default();
    let errors = parameters::read(query_string, |name, value| {
        match name {
            "after" => query.start = start(value)?,
            "limit" => query.limit = page_limit(value)?,
            _ => return Err(parameters::unknown(name, &NAMES, meant)),
        }
        Ok(())
    })?;
    parameters::finish(query, errors)
}

fn start(value: &str) -> Result<FeedStart, ParameterError> {
    match value {
        // Clients may send an empty one for the first page.
        "" => Ok(FeedStart::Oldest),
        NOW => Ok(FeedStart::Now),
        cursor => FeedCursor::from_text(cursor)
            .map(FeedStart::After)
            .map_err(|error| ParameterError::invalid_value(format!("after is {error}"))),
    }
}

/// Words of the pages of events and of other feeds.
fn meant(name: &str) -> Option<&'static str> {
    match name {
        "cursor" | "next" | "next_cursor" | "from" | "since" | "iterator" | "offset" => {
            Some("after")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mercurio_domain::WorkspaceId;
    use utoipa::IntoParams;

    use super::*;

    #[test]
    fn start_is_oldest_now_or_a_cursor() {
        assert_eq!(parse("").unwrap(), FeedQuery::default());
        assert_eq!(
            parse("after=&limit=7").unwrap(),
            FeedQuery { limit: 7, ..FeedQuery::default() }
        );
        assert_eq!(parse("after=now").unwrap().start, FeedStart::Now);
        let cursor = FeedCursor { last: 7, token: 3, ..FeedCursor::oldest(WorkspaceId(1)) };
        let query = parse(&format!("after={}", cursor.to_text())).unwrap();
        assert_eq!(query.start, FeedStart::After(cursor));
    }

    #[test]
    fn errors_name_the_parameter_and_the_way_out() {
        for (query_string, parameter, code, message) in [
            ("after=x", "after", "invalid_value", "pass `next` of the page before, unchanged"),
            ("limit=0", "limit", "invalid_value", "limit must be a number from 1 to 1000"),
            ("cursor=x", "cursor", "unknown_parameter", "did you mean \"after\"?"),
            ("event_name=x", "event_name", "unknown_parameter", "the parameters are after, limit"),
        ] {
            let errors = parse(query_string).unwrap_err();
            let [error] = &errors[..] else { panic!("{errors:?}") };
            assert_eq!((error.parameter.as_str(), error.code), (parameter, code));
            assert!(error.message.ends_with(message), "{}", error.message);
        }
    }

    #[test]
    fn document_has_every_parameter() {
        let described = FeedParameters::into_params(|| None);
        let names: Vec<_> = described.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, NAMES);
    }
}

//! `GET /v1/tail`: what happens to the events of a workspace, as it happens.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::http::{Method, Version};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use mercurio_domain::api_key::Scope;
use mercurio_domain::event::EventType;
use mercurio_domain::hints::{Meant, folded, meant_in_event, nearest};
use mercurio_domain::store::FeedCursor;
use utoipa::IntoParams;

use super::parameters::{self, ParameterError, text};
use super::query::kind;
use super::wire::examples;
use crate::auth::{KeySources, authenticate};
use crate::problem::{Problem, QueryError};
use crate::state::AppState;
use crate::tails::{self, TailFilter, TailStart, Verdicts};

/// The value of `after` for a start with what happens from now on, as in the feed.
const NOW: &str = "now";
/// Sent by a client that connects again (WHATWG HTML, "The `Last-Event-ID` header").
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Its name in errors.
const LAST_EVENT_ID_NAME: &str = "Last-Event-ID";
/// nginx buffers responses of other servers otherwise.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const EVENT_STREAM: &str = "text/event-stream";
const VERDICT_NAMES: [&str; 3] = ["accepted", "duplicate", "rejected"];

/// The parameters, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only the OpenAPI document uses it; a test compares its names with `NAMES`"
)]
pub(crate) struct TailParameters {
    /// Only these verdicts: `accepted`, `duplicate` and `rejected`, separated by commas. All by default.
    #[param(pattern = r"^(accepted|duplicate|rejected)(,(accepted|duplicate|rejected))*$")]
    verdict: Option<String>,
    /// Only events with exactly this name.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    event_name: Option<String>,
    /// Only events of this type.
    r#type: Option<EventType>,
    /// Only events with exactly this `user_id`.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    user_id: Option<String>,
    /// Only events with exactly this `anonymous_id`.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    anonymous_id: Option<String>,
    /// Begins after this cursor: an `id` of a tail, or a `next` of the feed. `now`, empty, and by
    /// default: with what happens from now on.
    #[param(format = "mercurio-feed-cursor")]
    after: Option<String>,
}

/// The header, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only the OpenAPI document uses it")]
pub(crate) struct TailHeaderParameters {
    /// Like `after`, which it replaces. Clients of server-sent events send it by themselves.
    #[param(rename = "Last-Event-ID", nullable = false, format = "mercurio-feed-cursor")]
    last_event_id: Option<String>,
}

/// Shows accepted, duplicate and rejected events as they happen, in server-sent events.
///
/// Needs the scope `events:read`. The response has no end. Its messages are `accepted` with a stored event,
/// `duplicate` and `rejected` with a notice, and `missed` with the numbers of duplicates and rejected events that were
/// not passed on. After a lost connection, send the last `id` as `Last-Event-ID`: no accepted event is missed.
/// Duplicates and rejected events are live only.
#[utoipa::path(
    get,
    path = "/v1/tail",
    operation_id = "tailEvents",
    tag = "Reading",
    security(("bearer" = [])),
    params(TailParameters, TailHeaderParameters),
    responses((
        status = 200, description = "The messages.", body = String, content_type = "text/event-stream",
        example = json!(examples::tail())
    )),
)]
pub async fn tail(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let principal =
        authenticate(&state, &request, Some(Scope::EventsRead), KeySources::Headers).await?;
    let parsed = parse(request.query_string());
    let TailQuery { filter, after } = parsed.map_err(|errors| Problem::InvalidQuery { errors })?;
    let resumed = last_event_id(&request)?.map(|cursor| (cursor, LAST_EVENT_ID_NAME));
    // A client that connects again keeps its URL, so the parameter is older.
    let after = resumed.or(after.map(|cursor| (cursor, "after")));
    let start = after.map_or(TailStart::Now, |(cursor, name)| TailStart::After(cursor, name));
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, EVENT_STREAM))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_ACCEL_BUFFERING, "no"));
    if request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let body = tails::open(&state, &request, &principal, start, filter).await?;
    if request.version() > Version::HTTP_10 {
        return Ok(response.body(body));
    }
    // Those clients know no chunks: the response ends with the connection. actix sets a length too.
    let mut response = response.no_chunking(0).force_close().body(body);
    response.headers_mut().remove(CONTENT_LENGTH);
    Ok(response)
}

/// Returns the cursor of a client that connects again.
fn last_event_id(request: &HttpRequest) -> Result<Option<FeedCursor>, Problem> {
    let mut values = request.headers().get_all(LAST_EVENT_ID);
    let (Some(value), None) = (values.next(), values.next()) else {
        // The list of two is not a cursor either.
        return match request.headers().contains_key(LAST_EVENT_ID) {
            true => Err(invalid_header("Last-Event-ID appears twice".to_owned())),
            false => Ok(None),
        };
    };
    let text = value.to_str().unwrap_or("?");
    // Before the first message, clients may send an empty one.
    if text.is_empty() {
        return Ok(None);
    }
    let cursor = FeedCursor::from_text(text);
    cursor.map(Some).map_err(|error| invalid_header(format!("{LAST_EVENT_ID_NAME} is {error}")))
}

fn invalid_header(message: String) -> Problem {
    let error = QueryError::new(LAST_EVENT_ID_NAME, "invalid_value", message);
    Problem::InvalidQuery { errors: vec![error] }
}

/// The query string.
#[derive(Debug, Default, PartialEq, Eq)]
struct TailQuery {
    filter: TailFilter,
    after: Option<FeedCursor>,
}

/// The parameters, in the order of the document.
const NAMES: [&str; 6] = ["verdict", "event_name", "type", "user_id", "anonymous_id", "after"];

/// Parses a query string.
///
/// # Errors
/// The unknown, repeated and invalid parameters.
fn parse(query_string: &str) -> Result<TailQuery, Vec<QueryError>> {
    let mut query = TailQuery::default();
    let mut verdicts = None;
    // As browsers send several check boxes of one name.
    let errors = parameters::read_with_lists(query_string, &["verdict"], |name, value| {
        set(&mut query, &mut verdicts, name, value)
    })?;
    query.filter.verdicts = verdicts.unwrap_or(Verdicts::ALL);
    parameters::finish(query, errors)
}

fn set(
    TailQuery { filter, after }: &mut TailQuery,
    verdicts: &mut Option<Verdicts>,
    name: &str,
    value: &str,
) -> Result<(), ParameterError> {
    match name {
        "verdict" => {
            let verdicts = verdicts.get_or_insert(Verdicts::NONE);
            for word in value.split(',') {
                add_verdict(verdicts, word)?;
            }
        }
        "event_name" => filter.event_name = Some(text(name, value)?),
        "type" => filter.kind = Some(kind(value)?),
        "user_id" => filter.user_id = Some(text(name, value)?),
        "anonymous_id" => filter.anonymous_id = Some(text(name, value)?),
        "after" if value.is_empty() || value == NOW => {}
        "after" => {
            let cursor = FeedCursor::from_text(value);
            let cursor = cursor.map_err(|error| format!("after is {error}"));
            *after = Some(cursor.map_err(ParameterError::invalid_value)?);
        }
        _ => return Err(parameters::unknown(name, &NAMES, meant)),
    }
    Ok(())
}

fn add_verdict(verdicts: &mut Verdicts, word: &str) -> Result<(), ParameterError> {
    match word {
        "accepted" => verdicts.accepted = true,
        "duplicate" => verdicts.duplicate = true,
        "rejected" => verdicts.rejected = true,
        _ => {
            let message = "verdict must be accepted, duplicate or rejected, or several of them, \
                           separated by commas";
            let hint = nearest(word, VERDICT_NAMES).map(|near| format!("; did you mean {near:?}?"));
            let message = format!("{message}{}", hint.unwrap_or_default());
            return Err(ParameterError::invalid_value(message));
        }
    }
    Ok(())
}

/// Words of feeds and of the responses to writes, and members of events.
fn meant(name: &str) -> Option<&'static str> {
    match folded(name)?.as_str() {
        "cursor" | "lasteventid" | "next" | "nextcursor" | "since" | "from" | "start" => {
            Some("after")
        }
        "status" | "verdicts" | "outcome" | "result" => Some("verdict"),
        _ => match meant_in_event(name) {
            Some(Meant::Member(member)) => NAMES.into_iter().find(|name| *name == member),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use mercurio_domain::WorkspaceId;

    use super::*;

    fn messages(query_string: &str) -> Vec<String> {
        parse(query_string).unwrap_err().into_iter().map(|error| error.message).collect()
    }

    #[test]
    fn every_filter_is_parsed() {
        let cursor = FeedCursor::oldest(WorkspaceId(7));
        let query_string = format!(
            "verdict=duplicate,rejected&event_name=a%20b&type=page&user_id=u&anonymous_id=a&after={}",
            cursor.to_text()
        );
        let TailQuery { filter, after } = parse(&query_string).unwrap();
        assert_eq!(filter.verdicts, Verdicts { accepted: false, ..Verdicts::ALL });
        assert_eq!(filter.event_name.as_deref(), Some("a b"));
        assert_eq!((filter.kind, after), (Some(EventType::Page), Some(cursor)));
        // Repeated, as browsers send a list of check boxes.
        let repeated = parse("verdict=accepted&verdict=rejected&after=now").unwrap();
        assert_eq!(repeated.filter.verdicts, Verdicts { duplicate: false, ..Verdicts::ALL });
        assert_eq!(parse("").unwrap(), TailQuery::default());
    }

    #[test]
    fn parameters_of_the_document_are_those_of_the_parser() {
        let described = TailParameters::into_params(|| None);
        let names: Vec<_> = described.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, NAMES);
        for name in NAMES {
            let errors = parse(&format!("{name}=")).err().unwrap_or_default();
            assert!(errors.iter().all(|error| error.code != "unknown_parameter"), "{name}");
        }
    }

    #[test]
    fn mistake_gets_what_was_meant() {
        for (query_string, expected) in [
            ("verdict=reject", "did you mean \"rejected\"?"),
            ("verdict=accepted,", "separated by commas"),
            ("status=rejected", "did you mean \"verdict\"?"),
            ("last_event_id=x", "did you mean \"after\"?"),
            ("event=x", "did you mean \"event_name\"?"),
            (
                "limit=5",
                "the parameters are verdict, event_name, type, user_id, anonymous_id, after",
            ),
            ("auth=mk_a_b", "reads take no key from the parameter auth; send it in a header"),
            ("after=x", "after is not a cursor of this service: pass `next` of the page before"),
            ("user_id=", "user_id is empty"),
            ("user_id=a&user_id=b", "user_id appears twice"),
        ] {
            let messages = messages(query_string);
            assert!(messages.len() == 1 && messages[0].contains(expected), "{messages:?}");
        }
    }
}

//! The query string of `GET /v1/events`: parsed with all its errors at once.

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use mercurio_domain::event::EventType;
use mercurio_domain::hints::{Meant, appended, folded, meant_in_event, nearest, time_hint};
use mercurio_domain::limits::MAX_PAGE_EVENTS;
use mercurio_domain::store::{EventQuery, Position};
use mercurio_domain::verdict::MAX_ERRORS_PER_EVENT;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;
use utoipa::IntoParams;

use crate::problem::{QueryError, excerpt};

/// The parameters, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only the OpenAPI document uses it; a test compares its names with `set`"
)]
pub(super) struct QueryParameters {
    /// Only events with exactly this name.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    event_name: Option<String>,
    /// Only events of this type.
    r#type: Option<EventType>,
    /// Only events with exactly this `anonymous_id`.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    anonymous_id: Option<String>,
    /// Only events with exactly this `user_id`.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    user_id: Option<String>,
    /// Only events with exactly this `session_id`.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    session_id: Option<String>,
    /// Only events at this time or later. Encode the `+` of an offset as `%2B`.
    from: Option<Timestamp>,
    /// Only events before this time. Must not be before `from`.
    to: Option<Timestamp>,
    /// Maximum events on the page. A page of large events has fewer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// The `next_cursor` of the previous page; empty for the first page.
    #[param(format = "mercurio-cursor")]
    cursor: Option<String>,
}

/// Maximum parameters of a query string; no endpoint has ten.
const MAX_PARAMETERS: usize = 32;

/// Maximum errors of an answer, as for an event.
pub(super) const MAX_ERRORS: usize = MAX_ERRORS_PER_EVENT;

/// Why a parameter is refused.
pub(super) struct ParameterError {
    code: &'static str,
    message: String,
}

impl ParameterError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn invalid_value(message: impl Into<String>) -> Self {
        Self::new("invalid_value", message)
    }
}

/// Parses a query string.
///
/// # Errors
/// The unknown, repeated and invalid parameters, up to [`MAX_ERRORS`]. Only their number if there are too many parameters.
pub(super) fn parse(query_string: &str) -> Result<EventQuery, Vec<QueryError>> {
    let mut query = EventQuery::default();
    let mut errors =
        read_parameters(query_string, |_| false, |name, value| set(&mut query, name, value))?;
    // Only if both are valid: each parameter gets one error.
    // Equal bounds are allowed: the page is empty.
    if let (Some(from), Some(to)) = (query.from, query.to)
        && from > to
    {
        errors.push(QueryError::new(
            "from",
            "invalid_value",
            format!("from {from} is after to {to}"),
        ));
    }
    errors.truncate(MAX_ERRORS);
    if errors.is_empty() { Ok(query) } else { Err(errors) }
}

/// Calls `set` with each parameter, and returns the errors. Only those for which `may_repeat` is true
/// may appear twice.
///
/// # Errors
/// Too many parameters: none of them was read.
pub(super) fn read_parameters(
    query_string: &str,
    may_repeat: fn(&str) -> bool,
    mut set: impl FnMut(&str, &str) -> Result<(), ParameterError>,
) -> Result<Vec<QueryError>, Vec<QueryError>> {
    let mut errors = Vec::new();
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    // In step with the parser: it skips empty pieces too.
    let pieces = query_string.split('&').filter(|piece| !piece.is_empty());
    // Before any of them is parsed: a head has room for tens of thousands.
    let count = pieces.clone().count();
    if count > MAX_PARAMETERS {
        let message = format!("the query has {count} parameters; the limit is {MAX_PARAMETERS}");
        return Err(vec![QueryError::of_all("too_many_parameters", message)]);
    }
    for ((name, value), piece) in form_urlencoded::parse(query_string.as_bytes()).zip(pieces) {
        // The raw piece, because the parser has already replaced invalid bytes.
        let result = if percent_decode_str(piece).decode_utf8().is_err() {
            // The parser replaces such bytes by U+FFFD: the query could match another event.
            Err(ParameterError::invalid_value(format!("{} is not UTF-8", excerpt(&name))))
        } else if seen.contains(&name) && !may_repeat(&name) {
            Err(ParameterError::new(
                "duplicate_parameter",
                format!("{} appears twice", excerpt(&name)),
            ))
        } else {
            set(&name, &value)
        };
        if let Err(error) = result {
            errors.push(QueryError::new(&name, error.code, error.message));
        }
        // Also invalid names: a repeated one is reported twice.
        seen.push(name);
    }
    Ok(errors)
}

fn set(query: &mut EventQuery, name: &str, value: &str) -> Result<(), ParameterError> {
    match name {
        "event_name" => query.event_name = Some(text(name, value)?),
        "anonymous_id" => query.anonymous_id = Some(text(name, value)?),
        "user_id" => query.user_id = Some(text(name, value)?),
        "session_id" => query.session_id = Some(text(name, value)?),
        "type" => query.kind = Some(kind(value)?),
        "from" => query.from = Some(time(name, value)?),
        "to" => query.to = Some(time(name, value)?),
        "limit" => query.limit = limit(value)?,
        // Clients may send an empty cursor with the first page.
        "cursor" if value.is_empty() => {}
        "cursor" => {
            let position = Position::from_cursor(value);
            query.after =
                Some(position.map_err(|error| {
                    ParameterError::invalid_value(format!("cursor is {error}"))
                })?);
        }
        _ => return Err(unknown(name)),
    }
    Ok(())
}

/// The parameters, in the order of the document.
const NAMES: [&str; 9] = [
    "event_name",
    "type",
    "anonymous_id",
    "user_id",
    "session_id",
    "from",
    "to",
    "limit",
    "cursor",
];

/// Returns the error about an unknown parameter, with the one that was probably meant.
fn unknown(name: &str) -> ParameterError {
    let shown = excerpt(name);
    let message = match meant(name) {
        Some(meant) => format!("there is no parameter {shown:?}; did you mean {meant:?}?"),
        // Tried by those who know the writes.
        None if name == "auth" => {
            "reads take no key from the parameter auth; send it in a header".to_owned()
        }
        None => format!("there is no parameter {shown:?}; the parameters are {}", NAMES.join(", ")),
    };
    ParameterError::new("unknown_parameter", message)
}

/// Returns the parameter that an unknown name probably means: a word of other APIs, or a typing
/// error.
fn meant(name: &str) -> Option<&'static str> {
    let of_other_apis = match folded(name)?.as_str() {
        "since" | "start" | "starttime" | "begin" | "after" => Some("from"),
        "until" | "end" | "endtime" | "before" => Some("to"),
        "count" | "max" | "pagesize" | "perpage" | "size" => Some("limit"),
        "next" | "nextcursor" | "offset" | "page" | "pagetoken" | "skip" => Some("cursor"),
        _ => None,
    };
    // Before the members of an event, which are nearly the same names.
    of_other_apis.or_else(|| nearest(name, NAMES)).or_else(|| match meant_in_event(name) {
        Some(Meant::Member(member)) => NAMES.into_iter().find(|name| *name == member),
        _ => None,
    })
}

pub(super) fn text(name: &str, value: &str) -> Result<String, ParameterError> {
    if value.is_empty() {
        let message = format!("{name} is empty; omit it to match any value");
        return Err(ParameterError::new("too_short", message));
    }
    // PostgreSQL stores no NUL in `text` (manual, 8.3), and comparing with it fails.
    if value.contains('\0') {
        let message = format!("{name} contains U+0000, and no event does");
        return Err(ParameterError::new("nul_character", message));
    }
    Ok(value.to_owned())
}

pub(super) fn kind(value: &str) -> Result<EventType, ParameterError> {
    EventType::from_text(value).ok_or_else(|| {
        let nearest = nearest(value, EventType::ALL.map(EventType::as_str));
        let hint = nearest.map(|nearest| format!("did you mean {nearest:?}?"));
        let message = "type must be track, page, screen, identify, group or alias";
        ParameterError::invalid_value(format!("{message}{}", appended(hint.as_deref())))
    })
}

fn time(name: &str, value: &str) -> Result<Timestamp, ParameterError> {
    Timestamp::parse(value).map_err(|error| {
        // In a query string, `+` means a space.
        let hint = appended(time_hint(value));
        ParameterError::new("invalid_timestamp", format!("{name} is {error}{hint}"))
    })
}

fn limit(value: &str) -> Result<usize, ParameterError> {
    let limit = value.parse().ok().filter(|limit| (1..=MAX_PAGE_EVENTS).contains(limit));
    limit.ok_or_else(|| {
        ParameterError::invalid_value(format!("limit must be a number from 1 to {MAX_PAGE_EVENTS}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_parsed() {
        let query = parse(
            "event_name=a%20b&type=page&anonymous_id=1&user_id=%C3%A9%EF%BF%BD&session_id=s\
             &from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00%2B01:00&limit=1000&cursor=",
        )
        .unwrap();
        assert_eq!(query.event_name.as_deref(), Some("a b"));
        assert_eq!(query.user_id.as_deref(), Some("é\u{FFFD}"));
        assert_eq!(query.kind, Some(EventType::Page));
        assert_eq!(query.to.unwrap().to_string(), "2026-01-01T23:00:00.000000Z");
        assert_eq!((query.limit, query.after), (1000, None));
        assert_eq!(parse("").unwrap(), EventQuery::default());
    }

    #[test]
    fn parameters_of_the_document_are_those_of_the_parser() {
        let described = QueryParameters::into_params(|| None);
        let names: Vec<_> = described.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, NAMES);
        for parameter in &described {
            let errors = parse(&format!("{}=", parameter.name)).err().unwrap_or_default();
            assert!(
                errors.iter().all(|error| error.code != "unknown_parameter"),
                "{}",
                parameter.name
            );
        }
        let limit = described.iter().find(|parameter| parameter.name == "limit").unwrap();
        let limit = serde_json::to_value(limit).unwrap();
        assert_eq!(limit["schema"]["maximum"], MAX_PAGE_EVENTS);
        assert_eq!(limit["schema"]["default"], EventQuery::default().limit);
    }

    #[test]
    fn unknown_parameter_gets_the_one_meant() {
        for (name, expected) in [
            ("lmit", "; did you mean \"limit\"?"),
            ("per_page", "; did you mean \"limit\"?"),
            ("since", "; did you mean \"from\"?"),
            ("end", "; did you mean \"to\"?"),
            ("userId", "; did you mean \"user_id\"?"),
            ("distinct_id", "; did you mean \"user_id\"?"),
            ("event", "; did you mean \"event_name\"?"),
            ("nextCursor", "; did you mean \"cursor\"?"),
            // A member of an event, but no parameter.
            (
                "message_id",
                "; the parameters are event_name, type, anonymous_id, user_id, session_id, from, to, limit, cursor",
            ),
        ] {
            let errors = parse(&format!("{name}=1")).unwrap_err();
            let expected = format!("there is no parameter {name:?}{expected}");
            assert_eq!(errors[0].message, expected);
        }
        let errors = parse("auth=mk_a_b").unwrap_err();
        let expected = "reads take no key from the parameter auth; send it in a header";
        assert_eq!(errors[0].message, expected);
    }

    #[test]
    fn invalid_value_gets_a_hint() {
        for (query_string, expected) in [
            ("from=1763805600", "; this looks like Unix time in seconds"),
            ("to=2026-11-22", "; this is a date alone: add a time and an offset"),
            ("to=2026-11-22T10:00:00+01:00", "; write + as %2B in a URL, and no space"),
            ("type=Track", "; did you mean \"track\"?"),
            ("type=tracking", "identify, group or alias"),
        ] {
            let errors = parse(query_string).unwrap_err();
            assert!(errors[0].message.ends_with(expected), "{errors:?}");
        }
    }

    #[test]
    fn number_of_parameters_and_errors_is_limited() {
        let repeated = |count| parse(&"a=1&".repeat(count)).unwrap_err();
        assert_eq!(repeated(32).len(), 20);
        let [error] = &repeated(33)[..] else { panic!("one error") };
        let QueryError { pointer, parameter, code, message } = error;
        assert_eq!((pointer.as_str(), parameter.as_str(), *code), ("", "", "too_many_parameters"));
        assert_eq!(message, "the query has 33 parameters; the limit is 32");
        let long = parse(&format!("from={0}&cursor={0}&limit={0}&type={0}", "x".repeat(10_000)));
        let long = long.unwrap_err();
        assert!(long.len() == 4 && long.iter().all(|error| error.message.len() < 150), "{long:?}");
        // Empty pieces are no parameters.
        assert!(parse(&"&".repeat(100)).is_ok());
    }

    #[test]
    fn long_name_is_cut_in_messages() {
        let name = "é".repeat(10_000);
        for (query_string, code) in [
            (format!("{name}=1&{name}=2"), "duplicate_parameter"),
            (format!("{name}=%ff"), "invalid_value"),
        ] {
            let errors = parse(&query_string).unwrap_err();
            let error = errors.iter().find(|error| error.code == code).unwrap();
            assert!(error.message.starts_with(&"é".repeat(64)) && error.message.len() < 150);
        }
    }

    #[test]
    fn errors_are_reported_all_at_once() {
        for (query_string, expected) in [
            ("limit=0", &[("limit", "invalid_value")][..]),
            ("limit=1001&limit=5", &[("limit", "invalid_value"), ("limit", "duplicate_parameter")]),
            ("limit=-1&type=Track", &[("limit", "invalid_value"), ("type", "invalid_value")]),
            ("from=2026-01-01&to=x", &[("from", "invalid_timestamp"), ("to", "invalid_timestamp")]),
            ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", &[("from", "invalid_value")]),
            // Reads accept a key only in a header.
            ("auth=mk_a_b", &[("auth", "unknown_parameter")]),
            ("cursor=abc&user_id=", &[("cursor", "invalid_value"), ("user_id", "too_short")]),
            ("user_id=%00", &[("user_id", "nul_character")]),
            ("&user_id=%ff&&limit=0", &[("user_id", "invalid_value"), ("limit", "invalid_value")]),
            (
                // Two halves of one character, invalid in each value.
                "user_id=%C3&session_id=%A9",
                &[("user_id", "invalid_value"), ("session_id", "invalid_value")],
            ),
        ] {
            let errors = parse(query_string).err().unwrap_or_default();
            let reported: Vec<_> =
                errors.iter().map(|error| (error.parameter.as_str(), error.code)).collect();
            assert_eq!(reported, expected, "{query_string}");
        }
    }
}

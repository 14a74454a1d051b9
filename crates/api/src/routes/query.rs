//! The query of `GET /v1/events`: every fault of it told at once.

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use mercurio_domain::event::EventType;
use mercurio_domain::limits::MAX_PAGE_EVENTS;
use mercurio_domain::store::{EventQuery, Position};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;
use utoipa::IntoParams;

use crate::problem::QueryError;

/// The parameters of the query, as clients are told of them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the document alone reads it; a test holds its names against `set`")]
pub(super) struct QueryParameters {
    /// Events of exactly this name.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    event_name: Option<String>,
    /// Events of this type.
    r#type: Option<EventType>,
    /// Events of exactly this `anonymous_id`.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    anonymous_id: Option<String>,
    /// Events of exactly this `user_id`.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    user_id: Option<String>,
    /// Events of exactly this `session_id`.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    session_id: Option<String>,
    /// Events that happened then or later. A `+` of an offset is written as `%2B`.
    from: Option<Timestamp>,
    /// Events that happened before. Not before `from`.
    to: Option<Timestamp>,
    /// Events of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before; empty for the first page.
    #[param(format = "mercurio-cursor")]
    cursor: Option<String>,
}

/// Reads a query string.
///
/// # Errors
/// Every parameter that is unknown, stands twice, or has a value that it can't have.
pub(super) fn read(query_string: &str) -> Result<EventQuery, Vec<QueryError>> {
    let mut query = EventQuery::default();
    let mut errors = Vec::new();
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    let pieces = query_string.split('&').filter(|piece| !piece.is_empty());
    for ((name, value), piece) in form_urlencoded::parse(query_string.as_bytes()).zip(pieces) {
        let result = if percent_decode_str(piece).decode_utf8().is_err() {
            // The parser puts U+FFFD in its place, by which another event than the one meant could be found.
            Err(("invalid_value", format!("{name} is not UTF-8")))
        } else if seen.contains(&name) {
            Err(("duplicate_parameter", format!("{name} stands twice")))
        } else {
            set(&mut query, &name, &value)
        };
        if let Err((code, message)) = result {
            errors.push(QueryError::new(&name, code, message));
        }
        seen.push(name);
    }
    if let (Some(from), Some(to)) = (query.from, query.to)
        && from > to
    {
        errors.push(QueryError::new(
            "from",
            "invalid_value",
            format!("from {from} is after to {to}"),
        ));
    }
    if errors.is_empty() { Ok(query) } else { Err(errors) }
}

fn set(query: &mut EventQuery, name: &str, value: &str) -> Result<(), (&'static str, String)> {
    match name {
        "event_name" => query.event_name = Some(text(name, value)?),
        "anonymous_id" => query.anonymous_id = Some(text(name, value)?),
        "user_id" => query.user_id = Some(text(name, value)?),
        "session_id" => query.session_id = Some(text(name, value)?),
        "type" => query.kind = Some(kind(value)?),
        "from" => query.from = Some(time(name, value)?),
        "to" => query.to = Some(time(name, value)?),
        "limit" => query.limit = limit(value)?,
        // What a first page has: clients send it along.
        "cursor" if value.is_empty() => {}
        "cursor" => {
            let position = Position::from_cursor(value);
            query.after =
                Some(position.map_err(|error| ("invalid_value", format!("cursor is {error}")))?);
        }
        _ => return Err(("unknown_parameter", "there is no parameter of this name".to_owned())),
    }
    Ok(())
}

fn text(name: &str, value: &str) -> Result<String, (&'static str, String)> {
    if value.is_empty() {
        return Err((
            "too_short",
            format!("{name} is empty; leave it out to read events with any"),
        ));
    }
    if value.contains('\0') {
        return Err((
            "nul_character",
            format!("{name} has the character U+0000, which no event has"),
        ));
    }
    Ok(value.to_owned())
}

fn kind(value: &str) -> Result<EventType, (&'static str, String)> {
    let message = || "type must be track, page, screen, identify, group or alias".to_owned();
    EventType::from_text(value).ok_or_else(|| ("invalid_value", message()))
}

fn time(name: &str, value: &str) -> Result<Timestamp, (&'static str, String)> {
    Timestamp::parse(value).map_err(|error| {
        let hint = if value.contains(' ') { "; a + must be written as %2B" } else { "" };
        ("invalid_timestamp", format!("{name} is {error}{hint}"))
    })
}

fn limit(value: &str) -> Result<usize, (&'static str, String)> {
    let limit = value.parse().ok().filter(|limit| (1..=MAX_PAGE_EVENTS).contains(limit));
    limit.ok_or_else(|| {
        ("invalid_value", format!("limit must be a number from 1 to {MAX_PAGE_EVENTS}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query_string: &str, expected: &[(&str, &str)]) {
        let errors = read(query_string).err().unwrap_or_default();
        let told: Vec<_> =
            errors.iter().map(|error| (error.parameter.as_str(), error.code)).collect();
        assert_eq!(told, expected, "{query_string}");
    }

    #[test]
    fn every_filter_is_read() {
        let query =
            read("event_name=a%20b&type=page&anonymous_id=1&user_id=%C3%A9%EF%BF%BD&session_id=s&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00%2B01:00&limit=1000&cursor=")
                .unwrap();
        assert_eq!(query.event_name.as_deref(), Some("a b"));
        assert_eq!(query.user_id.as_deref(), Some("é\u{FFFD}"));
        assert_eq!(query.kind, Some(EventType::Page));
        assert_eq!(query.to.unwrap().to_string(), "2026-01-01T23:00:00.000000Z");
        assert_eq!((query.limit, query.after), (1000, None));
        assert_eq!(read("").unwrap(), EventQuery::default());
    }

    #[test]
    fn every_parameter_is_told_and_no_other() {
        let told = QueryParameters::into_params(|| None);
        assert_eq!(told.len(), 9);
        for parameter in &told {
            let errors = read(&format!("{}=", parameter.name)).err().unwrap_or_default();
            assert!(
                errors.iter().all(|error| error.code != "unknown_parameter"),
                "{}",
                parameter.name
            );
        }
        let limit = told.iter().find(|parameter| parameter.name == "limit").unwrap();
        let limit = serde_json::to_value(limit).unwrap();
        assert_eq!(limit["schema"]["maximum"], MAX_PAGE_EVENTS);
        assert_eq!(limit["schema"]["default"], EventQuery::default().limit);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        check("limit=0", &[("limit", "invalid_value")]);
        check(
            "limit=1001&limit=5",
            &[("limit", "invalid_value"), ("limit", "duplicate_parameter")],
        );
        check("limit=-1&type=Track", &[("limit", "invalid_value"), ("type", "invalid_value")]);
        check(
            "from=2026-01-01&to=x",
            &[("from", "invalid_timestamp"), ("to", "invalid_timestamp")],
        );
        check("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", &[("from", "invalid_value")]);
        check("auth=mk_a_b", &[("auth", "unknown_parameter")]);
        check("cursor=abc&user_id=", &[("cursor", "invalid_value"), ("user_id", "too_short")]);
        check("user_id=%00", &[("user_id", "nul_character")]);
        check("&user_id=%ff&&limit=0", &[("user_id", "invalid_value"), ("limit", "invalid_value")]);
        check(
            "user_id=%C3&session_id=%A9",
            &[("user_id", "invalid_value"), ("session_id", "invalid_value")],
        );
    }
}

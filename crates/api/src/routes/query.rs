//! The query string of `GET /v1/events`: parsed with all its errors at once.

use mercurio_domain::Timestamp;
use mercurio_domain::event::EventType;
use mercurio_domain::hints::{Meant, appended, meant_in_event, nearest};
use mercurio_domain::store::{Direction, EventOrder, EventQuery};
use utoipa::IntoParams;

use super::parameters::{self, ParameterError};
use crate::problem::QueryError;

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
    /// Only events received at this time or later. Encode the `+` of an offset as `%2B`.
    received_from: Option<Timestamp>,
    /// Only events received before this time. Must not be before `received_from`.
    received_to: Option<Timestamp>,
    /// The time that orders the events: their own (the default), or that of receipt. An order of receipt sorts the
    /// days it reads, so bound it by `received_from` and `received_to`.
    #[param(inline, value_type = EventOrder, required = false)]
    order: Option<EventOrder>,
    /// `desc`, the default: newest first.
    #[param(inline, value_type = Direction, required = false)]
    direction: Option<Direction>,
    /// Maximum events on the page. A page of large events has fewer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// The `next_cursor` of the previous page, with the same `order` and `direction`; empty for the
    /// first page.
    #[param(format = "mercurio-cursor")]
    cursor: Option<String>,
}

/// Parses a query string.
///
/// # Errors
/// As [`parameters::read`].
pub(super) fn parse(query_string: &str) -> Result<EventQuery, Vec<QueryError>> {
    let mut query = EventQuery::default();
    let mut cursor = None;
    let mut errors = parameters::read(query_string, |name, value| {
        if name == "cursor" {
            // Read last: it depends on the order. Clients may send an empty one with the first page.
            cursor = Some(value.to_owned()).filter(|value| !value.is_empty());
            return Ok(());
        }
        set(&mut query, name, value)
    })?;
    // An invalid order has its own error, and the cursor's would only repeat it.
    let has_order = !errors.iter().any(|error| ["order", "direction"].contains(&&*error.parameter));
    if let Some(cursor) = cursor.filter(|_| has_order) {
        match query.sort.position(&cursor) {
            Ok(position) => query.after = Some(position),
            Err(error) => {
                let message = format!("cursor is {error}");
                errors.push(QueryError::new("cursor", "invalid_value", message));
            }
        }
    }
    errors.extend(parameters::range_error(query.from, query.to));
    let received = ["received_from", "received_to"];
    errors.extend(parameters::range_error_of(received, query.received_from, query.received_to));
    parameters::finish(query, errors)
}

fn set(query: &mut EventQuery, name: &str, value: &str) -> Result<(), ParameterError> {
    match name {
        "event_name" => query.event_name = Some(parameters::text(name, value)?),
        "anonymous_id" => query.anonymous_id = Some(parameters::text(name, value)?),
        "user_id" => query.user_id = Some(parameters::text(name, value)?),
        "session_id" => query.session_id = Some(parameters::text(name, value)?),
        "type" => query.kind = Some(kind(value)?),
        "from" => query.from = Some(parameters::time(name, value)?),
        "to" => query.to = Some(parameters::time(name, value)?),
        "received_from" => query.received_from = Some(parameters::time(name, value)?),
        "received_to" => query.received_to = Some(parameters::time(name, value)?),
        "order" => query.sort.order = order(value)?,
        "direction" => query.sort.direction = direction(value)?,
        "limit" => query.limit = parameters::page_limit(value)?,
        _ => return Err(parameters::unknown(name, &NAMES, meant)),
    }
    Ok(())
}

/// The parameters, in the order of the document.
const NAMES: [&str; 13] = [
    "event_name",
    "type",
    "anonymous_id",
    "user_id",
    "session_id",
    "from",
    "to",
    "received_from",
    "received_to",
    "order",
    "direction",
    "limit",
    "cursor",
];

/// Returns the parameter that the name of a member of events means.
fn meant(name: &str) -> Option<&'static str> {
    match meant_in_event(name) {
        Some(Meant::Member(member)) => NAMES.into_iter().find(|name| *name == member),
        _ => None,
    }
}

pub(super) fn kind(value: &str) -> Result<EventType, ParameterError> {
    EventType::from_text(value).ok_or_else(|| {
        let nearest = nearest(value, EventType::ALL.map(EventType::as_str));
        let hint = nearest.map(|nearest| format!("did you mean {nearest:?}?"));
        let message = "type must be track, page, screen, identify, group or alias";
        ParameterError::invalid_value(format!("{message}{}", appended(hint.as_deref())))
    })
}

fn order(value: &str) -> Result<EventOrder, ParameterError> {
    EventOrder::from_text(value).ok_or_else(|| {
        let hint = if Direction::from_text(value).is_some() {
            "; the direction of the order is the parameter \"direction\""
        } else {
            ""
        };
        ParameterError::invalid_value(format!("order must be occurred or received{hint}"))
    })
}

fn direction(value: &str) -> Result<Direction, ParameterError> {
    let direction = Direction::from_text(value);
    direction.ok_or_else(|| ParameterError::invalid_value("direction must be desc or asc"))
}

#[cfg(test)]
mod tests {
    use mercurio_domain::limits::MAX_PAGE_EVENTS;
    use mercurio_domain::store::Position;
    use mercurio_domain::{EventId, EventKey};

    use super::*;

    #[test]
    fn every_filter_is_parsed() {
        let query = parse(
            "event_name=a%20b&type=page&anonymous_id=1&user_id=%C3%A9%EF%BF%BD&session_id=s\
             &from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00%2B01:00&limit=1000&cursor=\
             &received_from=2026-01-03T00:00:00Z&received_to=2026-01-03T00:00:00Z\
             &order=received&direction=asc",
        )
        .unwrap();
        assert_eq!(query.event_name.as_deref(), Some("a b"));
        assert_eq!(query.user_id.as_deref(), Some("é\u{FFFD}"));
        assert_eq!(query.kind, Some(EventType::Page));
        assert_eq!(query.to.unwrap().to_string(), "2026-01-01T23:00:00.000000Z");
        assert_eq!((query.limit, query.after), (1000, None));
        assert_eq!(query.received_from.unwrap().to_string(), "2026-01-03T00:00:00.000000Z");
        assert_eq!(query.received_to, query.received_from);
        assert_eq!(query.sort.to_string(), "order=received and direction=asc");
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
            ("sort", "; did you mean \"order\"?"),
            ("received_at", "; did you mean \"received_to\"?"),
            ("userId", "; did you mean \"user_id\"?"),
            ("distinct_id", "; did you mean \"user_id\"?"),
            ("event", "; did you mean \"event_name\"?"),
            ("nextCursor", "; did you mean \"cursor\"?"),
            // A member of an event, but no parameter.
            (
                "message_id",
                "; the parameters are event_name, type, anonymous_id, user_id, session_id, from, to, received_from, received_to, order, direction, limit, cursor",
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
            ("order=asc", "received; the direction of the order is the parameter \"direction\""),
            ("order=Received", "order must be occurred or received"),
            ("direction=ascending", "direction must be desc or asc"),
        ] {
            let errors = parse(query_string).unwrap_err();
            assert!(errors[0].message.ends_with(expected), "{errors:?}");
        }
    }

    #[test]
    fn cursor_belongs_to_an_order_and_its_direction() {
        let received = "order=received&direction=asc";
        let sort = parse(received).unwrap().sort;
        let key = EventKey::of(&EventId::lookup("x"));
        let occurred_at = Timestamp::parse("2026-11-22T10:00:00Z").unwrap();
        let position = Position { occurred_at, key };
        let cursor = sort.cursor(position);
        // The order may follow the cursor in the query.
        assert_eq!(parse(&format!("cursor={cursor}&{received}")).unwrap().after, Some(position));
        for other in ["", "&order=received", "&direction=asc"] {
            let errors = parse(&format!("cursor={cursor}{other}")).unwrap_err();
            let expected =
                "cursor is of order=received and direction=asc, but this query has order=";
            assert_eq!((errors.len(), errors[0].code), (1, "invalid_value"), "{other}");
            assert!(errors[0].message.starts_with(expected), "{errors:?}");
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
            (
                "received_from=2026-01-02T00:00:00Z&received_to=2026-01-01T00:00:00Z",
                &[("received_from", "invalid_value")],
            ),
            (
                "order=asc&direction=up&cursor=abc",
                &[("order", "invalid_value"), ("direction", "invalid_value")],
            ),
            // Reads accept a key only in a header.
            ("auth=mk_a_b", &[("auth", "unknown_parameter")]),
            ("cursor=abc&user_id=", &[("user_id", "too_short"), ("cursor", "invalid_value")]),
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

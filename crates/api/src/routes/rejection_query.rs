//! The query strings of `GET /v1/rejections` and its summary.

use mercurio_domain::Timestamp;
use mercurio_domain::hints::{Meant, appended, meant_in_event, nearest};
use mercurio_domain::store::{RejectionCountQuery, RejectionQuery};
use mercurio_domain::verdict::FieldErrorCode;
use utoipa::IntoParams;

use super::parameters::{self, ParameterError};
use crate::problem::QueryError;

/// The parameters of a page, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the OpenAPI document uses it; a test compares its names")]
pub(super) struct PageParameters {
    /// Only events with an error of this code.
    code: Option<FieldErrorCode>,
    /// Only the event with exactly this id, if it was valid.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    event_id: Option<String>,
    /// Only events with exactly this name.
    #[param(min_length = 1, pattern = r"^[^\u0000]*$")]
    event_name: Option<String>,
    /// Only events received at this time or later. Encode the `+` of an offset as `%2B`.
    from: Option<Timestamp>,
    /// Only events received before this time. Must not be before `from`.
    to: Option<Timestamp>,
    /// Maximum events on the page. A page of large events has fewer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// The `next_cursor` of the previous page; empty for the first page.
    #[param(format = "mercurio-rejections-cursor")]
    cursor: Option<String>,
}

/// The parameters of a summary, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the OpenAPI document uses it; a test compares its names")]
pub(super) struct SummaryParameters {
    /// Start of the time of receipt; the beginning of its hour (UTC) counts. Default: 24 hours before `to`.
    from: Option<Timestamp>,
    /// End of the time of receipt; the end of its hour (UTC) counts. Default: the end of this hour.
    to: Option<Timestamp>,
    /// Maximum `requests` and maximum `groups`: the largest counts.
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<usize>,
}

const PAGE_NAMES: [&str; 7] = ["code", "event_id", "event_name", "from", "to", "limit", "cursor"];
const SUMMARY_NAMES: [&str; 3] = ["from", "to", "limit"];

/// Maximum counts of each kind of a summary.
const MAX_COUNTS: usize = 1_000;
const DEFAULT_COUNTS: usize = 20;
/// Hours of a summary by default.
const DEFAULT_HOURS: i64 = 24;
const HOUR_MICROS: i64 = 3_600_000_000;

/// Parses the query string of a page.
///
/// # Errors
/// As [`parameters::read`].
pub(super) fn parse_page(query_string: &str) -> Result<RejectionQuery, Vec<QueryError>> {
    let mut query = RejectionQuery::default();
    let mut errors = parameters::read(query_string, |name, value| {
        match name {
            "code" => query.code = Some(code(value)?),
            "event_id" => query.event_id = Some(parameters::text(name, value)?),
            "event_name" => query.event_name = Some(parameters::text(name, value)?),
            "from" => query.from = Some(parameters::time(name, value)?),
            "to" => query.to = Some(parameters::time(name, value)?),
            "limit" => query.limit = parameters::page_limit(value)?,
            "cursor" => query.after = parameters::cursor(value)?,
            _ => return Err(parameters::unknown(name, &PAGE_NAMES, meant)),
        }
        Ok(())
    })?;
    errors.extend(parameters::range_error(query.from, query.to));
    parameters::finish(query, errors)
}

/// Parses the query string of a summary, and fills in the hours up to `now`.
///
/// # Errors
/// As [`parameters::read`].
pub(super) fn parse_summary(
    query_string: &str,
    now: Timestamp,
) -> Result<RejectionCountQuery, Vec<QueryError>> {
    let (mut from, mut to, mut limit) = (None, None, DEFAULT_COUNTS);
    let mut errors = parameters::read(query_string, |name, value| {
        match name {
            "from" => from = Some(parameters::time(name, value)?),
            "to" => to = Some(parameters::time(name, value)?),
            "limit" => limit = parameters::limit(value, MAX_COUNTS)?,
            _ => return Err(parameters::unknown(name, &SUMMARY_NAMES, |_| None)),
        }
        Ok(())
    })?;
    errors.extend(parameters::range_error(from, to));
    let to = end_of_hour(to.unwrap_or_else(|| later(now.start_of_hour(), HOUR_MICROS)));
    let from = from.unwrap_or_else(|| later(to, -DEFAULT_HOURS * HOUR_MICROS)).start_of_hour();
    parameters::finish(RejectionCountQuery { from, to, limit }, errors)
}

/// Returns the time itself if it is a whole hour.
fn end_of_hour(time: Timestamp) -> Timestamp {
    let start = time.start_of_hour();
    if start == time { time } else { later(start, HOUR_MICROS) }
}

/// The first and the last years have no time beyond them.
fn later(time: Timestamp, micros: i64) -> Timestamp {
    time.checked_add_micros(micros).unwrap_or(time)
}

fn code(value: &str) -> Result<FieldErrorCode, ParameterError> {
    FieldErrorCode::from_text(value).ok_or_else(|| {
        let nearest = nearest(value, FieldErrorCode::ALL.map(FieldErrorCode::as_str));
        let hint = nearest.map(|nearest| format!("did you mean {nearest:?}?"));
        let message = "code must be one of an event's errors, such as required";
        ParameterError::invalid_value(format!("{message}{}", appended(hint.as_deref())))
    })
}

/// Returns the parameter that the name of a member means.
fn meant(name: &str) -> Option<&'static str> {
    let is_name = meant_in_event(name) == Some(Meant::Member("event_name"));
    is_name.then_some("event_name")
}

#[cfg(test)]
mod tests {
    use mercurio_domain::limits::MAX_PAGE_EVENTS;
    use mercurio_domain::testing::at;

    use super::*;

    #[test]
    fn every_filter_is_parsed() {
        let query = parse_page(
            "code=too_long&event_id=e%201&event_name=a%20b&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z\
             &limit=7&cursor=",
        )
        .unwrap();
        let expected = RejectionQuery {
            code: Some(FieldErrorCode::TooLong),
            event_id: Some("e 1".to_owned()),
            event_name: Some("a b".to_owned()),
            from: Some(at("2026-01-01T00:00:00Z")),
            to: Some(at("2026-01-02T00:00:00Z")),
            after: None,
            limit: 7,
        };
        assert_eq!(query, expected);
        assert_eq!(parse_page("").unwrap(), RejectionQuery::default());
    }

    #[test]
    fn summary_covers_whole_hours() {
        let now = at("2026-11-22T10:20:30Z");
        for (query_string, from, to) in [
            ("", "2026-11-21T11:00:00Z", "2026-11-22T11:00:00Z"),
            ("to=2026-11-20T05:00:00Z", "2026-11-19T05:00:00Z", "2026-11-20T05:00:00Z"),
            ("from=2026-11-22T09:59:59Z", "2026-11-22T09:00:00Z", "2026-11-22T11:00:00Z"),
            (
                "from=2026-11-22T01:30:00%2B01:00&to=2026-11-22T00:30:00.000001Z",
                "2026-11-22T00:00:00Z",
                "2026-11-22T01:00:00Z",
            ),
            ("to=0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("to=9999-12-31T23:59:59Z", "9999-12-30T23:00:00Z", "9999-12-31T23:00:00Z"),
        ] {
            let query = parse_summary(query_string, now).unwrap();
            assert_eq!((query.from, query.to), (at(from), at(to)), "{query_string}");
        }
        assert_eq!(parse_summary("limit=3", now).unwrap().limit, 3);
    }

    #[test]
    fn errors_are_reported_all_at_once() {
        for (query_string, expected) in [
            ("code=Required&limit=0", &["code", "limit"][..]),
            ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", &["from"]),
            ("code=&event_name=&cursor=x&user_id=u", &["code", "event_name", "cursor", "user_id"]),
        ] {
            let errors = parse_page(query_string).unwrap_err();
            let names: Vec<_> = errors.iter().map(|error| &*error.parameter).collect();
            assert_eq!(names, expected);
        }
        let errors = parse_summary("limit=1001&code=required", at("2026-01-01T00:00:00Z"));
        let messages: Vec<_> = errors.unwrap_err().into_iter().map(|error| error.message).collect();
        let expected = [
            "limit must be a number from 1 to 1000",
            "there is no parameter \"code\"; the parameters are from, to, limit",
        ];
        assert_eq!(messages, expected);
        let [error] = &parse_page("code=unknown_feld").unwrap_err()[..] else { panic!("one") };
        assert!(error.message.ends_with("; did you mean \"unknown_field\"?"), "{}", error.message);
    }

    fn names(described: Vec<utoipa::openapi::path::Parameter>) -> Vec<String> {
        described.into_iter().map(|parameter| parameter.name).collect()
    }

    #[test]
    fn parameters_of_the_document_are_those_of_the_parsers() {
        let page = PageParameters::into_params(|| None);
        let limit = page.iter().find(|parameter| parameter.name == "limit").unwrap();
        let limit = serde_json::to_value(limit).unwrap();
        assert_eq!(limit["schema"]["maximum"], MAX_PAGE_EVENTS);
        assert_eq!(limit["schema"]["default"], RejectionQuery::default().limit);
        assert_eq!(names(page), PAGE_NAMES);
        let summary = SummaryParameters::into_params(|| None);
        let limit = serde_json::to_value(&summary[2]).unwrap();
        assert_eq!(limit["schema"]["maximum"], MAX_COUNTS);
        assert_eq!(limit["schema"]["default"], DEFAULT_COUNTS);
        assert_eq!(names(summary), SUMMARY_NAMES);
    }
}

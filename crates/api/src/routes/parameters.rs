//! Query strings: parsed with all their errors at once. Not here: the parameters of each endpoint.

use std::borrow::Cow;

use mercurio_domain::Timestamp;
use mercurio_domain::hints::{appended, folded, nearest, time_hint};
use mercurio_domain::limits::MAX_PAGE_EVENTS;
use mercurio_domain::store::Position;
use mercurio_domain::verdict::MAX_ERRORS_PER_EVENT;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use crate::problem::{QueryError, excerpt};

/// Maximum parameters of a query string; each endpoint has few.
const MAX_PARAMETERS: usize = 32;

/// Maximum errors of an answer, as for an event.
const MAX_ERRORS: usize = MAX_ERRORS_PER_EVENT;

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

/// Reads a query string. `set` takes each parameter. Returns the unknown, repeated and invalid ones.
///
/// # Errors
/// Only the number of parameters, if there are too many.
pub(super) fn read(
    query_string: &str,
    set: impl FnMut(&str, &str) -> Result<(), ParameterError>,
) -> Result<Vec<QueryError>, Vec<QueryError>> {
    read_with_lists(query_string, &[], set)
}

/// Reads a query string, as [`read`]. The parameters in `lists` may be repeated.
///
/// # Errors
/// As [`read`].
pub(super) fn read_with_lists(
    query_string: &str,
    lists: &[&str],
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
        } else if seen.contains(&name) && !lists.contains(&&*name) {
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

/// Returns the error about `from` after `to`. Equal bounds are allowed: the page is empty.
pub(super) fn range_error(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<QueryError> {
    range_error_of(["from", "to"], from, to)
}

/// Returns the error about bounds with these names in the wrong order.
pub(super) fn range_error_of(
    names: [&str; 2],
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Option<QueryError> {
    let [lower, upper] = names;
    // Only if both are valid: each parameter gets one error.
    let (from, to) = (from?, to?);
    let message = format!("{lower} {from} is after {upper} {to}");
    (from > to).then(|| QueryError::new(lower, "invalid_value", message))
}

/// Returns the query, or its errors up to [`MAX_ERRORS`].
pub(super) fn finish<T>(query: T, mut errors: Vec<QueryError>) -> Result<T, Vec<QueryError>> {
    errors.truncate(MAX_ERRORS);
    if errors.is_empty() { Ok(query) } else { Err(errors) }
}

/// Returns the error about an unknown parameter, with the one of `names` that was probably meant.
/// `meant` knows further words for them.
pub(super) fn unknown(
    name: &str,
    names: &[&'static str],
    meant: impl Fn(&str) -> Option<&'static str>,
) -> ParameterError {
    let shown = excerpt(name);
    let of_other_apis = of_other_apis(name).filter(|found| names.contains(found));
    // Before the members of an event, which are nearly the same names.
    let meant =
        of_other_apis.or_else(|| nearest(name, names.iter().copied())).or_else(|| meant(name));
    let message = match meant {
        Some(meant) => format!("there is no parameter {shown:?}; did you mean {meant:?}?"),
        // Tried by those who know the writes.
        None if name == "auth" => {
            "reads take no key from the parameter auth; send it in a header".to_owned()
        }
        None => format!("there is no parameter {shown:?}; the parameters are {}", names.join(", ")),
    };
    ParameterError::new("unknown_parameter", message)
}

/// Returns the parameter that a word of other APIs means.
fn of_other_apis(name: &str) -> Option<&'static str> {
    match folded(name)?.as_str() {
        "since" | "start" | "starttime" | "begin" | "after" => Some("from"),
        "until" | "end" | "endtime" | "before" => Some("to"),
        "count" | "max" | "pagesize" | "perpage" | "size" => Some("limit"),
        "sort" | "sortby" | "orderby" => Some("order"),
        "dir" | "sortorder" | "ascending" | "descending" => Some("direction"),
        "next" | "nextcursor" | "offset" | "page" | "pagetoken" | "skip" => Some("cursor"),
        _ => None,
    }
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

pub(super) fn time(name: &str, value: &str) -> Result<Timestamp, ParameterError> {
    Timestamp::parse(value).map_err(|error| {
        // In a query string, `+` means a space.
        let hint = appended(time_hint(value));
        ParameterError::new("invalid_timestamp", format!("{name} is {error}{hint}"))
    })
}

/// Reads the `limit` of a page.
pub(super) fn page_limit(value: &str) -> Result<usize, ParameterError> {
    limit(value, MAX_PAGE_EVENTS)
}

/// Reads a `limit` from 1 to `max`.
pub(super) fn limit(value: &str, max: usize) -> Result<usize, ParameterError> {
    let limit = value.parse().ok().filter(|limit| (1..=max).contains(limit));
    limit.ok_or_else(|| {
        ParameterError::invalid_value(format!("limit must be a number from 1 to {max}"))
    })
}

/// Reads a `cursor` of rejected events. Clients may send an empty one with the first page.
pub(super) fn cursor(value: &str) -> Result<Option<Position>, ParameterError> {
    if value.is_empty() {
        return Ok(None);
    }
    let position = Position::from_rejections_cursor(value);
    position.map(Some).map_err(|error| ParameterError::invalid_value(format!("cursor is {error}")))
}

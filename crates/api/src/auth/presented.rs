//! Finds the API key of a request and checks its form.
//!
//! The first place with a key decides. An empty header counts as absent: clients without a key in
//! their settings send one. A refusal describes the form of what came and repeats no part of it.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercurio_domain::api_key::{ID_CHARS, MalformedKey, PresentedKey};
use mercurio_protocols::BodyKey;
use url::form_urlencoded;

use crate::problem::UnauthorizedReason;

/// The parameters that are searched for a key.
const MAX_QUERY_PARAMETERS: usize = 32;

/// A header with a key, and its name in errors.
struct KeyHeader {
    name: HeaderName,
    text: &'static str,
}

/// In the order of the search. The last one is that of clients of other services.
const HEADERS: [KeyHeader; 3] = [
    KeyHeader { name: AUTHORIZATION, text: "Authorization" },
    // Some gateways replace `Authorization`.
    KeyHeader { name: HeaderName::from_static("x-api-key"), text: "X-API-Key" },
    KeyHeader { name: HeaderName::from_static("x-write-key"), text: "X-Write-Key" },
];
/// The parameter with a key.
const AUTH: &str = "auth";

/// The parts of a request that may contain the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySources {
    /// The headers.
    Headers,
    /// The headers, then the query string: a browser's `sendBeacon` cannot set headers.
    HeadersAndQuery,
    /// The headers that clients of other services send.
    ForeignHeaders,
}

/// Why a request has no well-formed key.
#[derive(Debug)]
pub(super) struct KeyError {
    pub(super) reason: UnauthorizedReason,
    /// For people.
    pub(super) detail: Cow<'static, str>,
}

impl KeyError {
    fn missing(detail: &'static str) -> Self {
        Self { reason: UnauthorizedReason::Missing, detail: Cow::Borrowed(detail) }
    }

    fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: UnauthorizedReason::Malformed, detail: detail.into() }
    }
}

/// Returns the key of a request.
pub(super) fn presented_key(
    request: &HttpRequest,
    sources: KeySources,
) -> Result<PresentedKey, KeyError> {
    let is_foreign = sources == KeySources::ForeignHeaders;
    let mut empty = None;
    for KeyHeader { name, text } in &HEADERS[..if is_foreign { 3 } else { 2 }] {
        let Some(value) = only(request.headers().get_all(name))? else { continue };
        let value = text_of(value)?;
        let key = match *name {
            AUTHORIZATION => key_of_authorization(value)?,
            _ => value.trim().into(),
        };
        // A malformed key does not fall through to the next place: that would hide the error.
        if !key.is_empty() {
            return parse(&key, text);
        }
        empty = empty.or(Some(*text));
    }
    if is_foreign {
        return Err(KeyError::missing(NO_FOREIGN_KEY));
    }
    let query = form_urlencoded::parse(request.query_string().as_bytes());
    // A head has room for tens of thousands of parameters.
    let mut keys = query.take(MAX_QUERY_PARAMETERS).filter(|(name, _)| name == AUTH);
    // Only for writes: URLs end up in browser histories and in the logs of proxies.
    if sources == KeySources::HeadersAndQuery {
        if let Some((_, key)) = only(keys)? {
            return parse(&key, "the parameter auth");
        }
    } else if keys.next().is_some() {
        return Err(KeyError::missing(
            "Only writes take a key from the parameter auth; send it in the header \
             Authorization: Bearer <key>.",
        ));
    }
    Err(match empty {
        Some(place) => refused(MalformedKey::Empty, place),
        None => KeyError::missing(
            "The request has no API key; send one in the header Authorization: Bearer <key>.",
        ),
    })
}

/// Returns the key in the body of a client of another service.
pub(super) fn key_of_body(key: &BodyKey<'_>) -> Result<PresentedKey, KeyError> {
    match key {
        BodyKey::Missing => Err(KeyError::missing(NO_FOREIGN_KEY)),
        BodyKey::Text(key) => parse(key.trim(), "the body"),
        BodyKey::Unclear => Err(KeyError::malformed(
            "The body has two API keys that differ, or one that is not a text; send one.",
        )),
    }
}

const NO_FOREIGN_KEY: &str = "The request has no API key; set it as the write key of the client.";

/// Returns the only value, if there is one. Two keys in one place are malformed: a proxy that checks
/// the first and a server that uses the last would mean different tenants.
fn only<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, KeyError> {
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => {
            Err(KeyError::malformed("The request has two API keys in one place; send one."))
        }
    }
}

fn text_of(value: &HeaderValue) -> Result<&str, KeyError> {
    // Other text than ASCII is no key, but its form can be described.
    std::str::from_utf8(value.as_bytes())
        .map_err(|_| refused(MalformedKey::Characters, "the headers"))
}

/// Reads a key. Jitsu's clients insist on a colon between id and secret; no key has one.
fn parse(key: &str, place: &str) -> Result<PresentedKey, KeyError> {
    let parsed = match key.contains(':') {
        true => PresentedKey::parse(&key.replacen(':', "_", 1)),
        false => PresentedKey::parse(key),
    };
    parsed.map_err(|error| refused(error, place))
}

fn refused(error: MalformedKey, place: &str) -> KeyError {
    KeyError::malformed(format!("The API key in {place} {error}."))
}

/// Returns the key of an `Authorization` header: `Bearer KEY`, or `Basic` with the key as the user
/// and any password. An empty text: there is none.
fn key_of_authorization(value: &str) -> Result<Cow<'_, str>, KeyError> {
    let value = value.trim();
    // The standard has spaces here, and copied keys often bring tabs too.
    let (scheme, credentials) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    let credentials = credentials.trim();
    // Schemes ignore case (RFC 9110, 11.1).
    if scheme.is_empty() || scheme.eq_ignore_ascii_case("bearer") {
        return Ok(credentials.into());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        return key_of_basic(credentials).map(Cow::Owned);
    }
    let (word, after) = scheme.split_at(scheme.find(':').unwrap_or(scheme.len()));
    let has_colon = !after.is_empty()
        && ["bearer", "basic"].iter().any(|known| word.eq_ignore_ascii_case(known));
    // An unknown scheme is a malformed key, not a missing one.
    Err(KeyError::malformed(if has_colon {
        "The header Authorization has a colon after its scheme; send Authorization: Bearer <key>."
    } else if credentials.is_empty() {
        "The header Authorization needs a scheme before the key: Authorization: Bearer <key>."
    } else {
        "The scheme in the header Authorization is neither Bearer nor Basic; send \
         Authorization: Bearer <key>."
    }))
}

fn key_of_basic(credentials: &str) -> Result<String, KeyError> {
    let decoded = STANDARD.decode(credentials).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    // A user name has no colon (RFC 7617, 2), so the first one ends it.
    match decoded.as_deref().and_then(|decoded| decoded.split_once(':')) {
        Some(("", password)) if !password.is_empty() => Err(KeyError::malformed(
            "Basic authentication has a password and no user; the key is the user: curl -u <key>:",
        )),
        // A key with a colon between id and secret becomes user and password.
        Some((user, password)) if !password.is_empty() && is_first_part(user) => {
            Ok(format!("{user}_{}", password.trim_end_matches(':')))
        }
        // Clients without a password send an empty one, or a placeholder.
        Some((user, _)) => Ok(user.to_owned()),
        None => Err(KeyError::malformed(
            "The Basic credentials are not the Base64 of <key>: with its colon; curl -u <key>: makes them.",
        )),
    }
}

/// Whether a text is `mk_` and an id, without a secret.
fn is_first_part(user: &str) -> bool {
    user.strip_prefix("mk_").is_some_and(|id| id.len() == ID_CHARS && !id.contains('_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn detail(request: TestRequest, sources: KeySources) -> String {
        let error = presented_key(&request.to_http_request(), sources).unwrap_err();
        format!("{}: {}", error.reason.as_str(), error.detail)
    }

    #[track_caller]
    fn check(name: &str, value: &str, expected: &str) {
        let request = TestRequest::default().insert_header((name, value.as_bytes()));
        assert_eq!(detail(request, KeySources::HeadersAndQuery), expected, "{value}");
    }

    #[test]
    fn missing_key_gets_a_way_to_send_one() {
        let missing = "missing: The request has no API key; send one in the header Authorization: Bearer <key>.";
        for sources in [KeySources::Headers, KeySources::HeadersAndQuery] {
            assert_eq!(detail(TestRequest::default(), sources), missing);
        }
        let in_query = || TestRequest::with_uri("/v1/events?limit=1&auth=mk_a_b");
        assert_eq!(
            detail(in_query(), KeySources::Headers),
            "missing: Only writes take a key from the parameter auth; send it in the header \
             Authorization: Bearer <key>."
        );
        assert_eq!(
            detail(in_query(), KeySources::HeadersAndQuery),
            "malformed: The API key in the parameter auth has 6 characters; a key has 78."
        );
    }

    #[test]
    fn mistake_in_authorization_is_described() {
        let no_scheme = "malformed: The header Authorization needs a scheme before the key: \
                         Authorization: Bearer <key>.";
        let other_scheme = "malformed: The scheme in the header Authorization is neither Bearer nor \
                            Basic; send Authorization: Bearer <key>.";
        let colon = "malformed: The header Authorization has a colon after its scheme; send \
                     Authorization: Bearer <key>.";
        let no_base64 = "malformed: The Basic credentials are not the Base64 of <key>: with its \
                         colon; curl -u <key>: makes them.";
        for (value, expected) in [
            ("mk_abc_def", no_scheme),
            ("Bearer:mk_abc_def", colon),
            ("bearer: mk_abc_def", colon),
            ("Basic:\tbWtfYWJjOg==", colon),
            ("Token mk_abc_def", other_scheme),
            ("Token: mk_abc_def", other_scheme),
            ("Basic mk_abc_def", no_base64),
            // `no colon`.
            ("Basic bm8gY29sb24=", no_base64),
            (
                // `:mk_abc`.
                "Basic Om1rX2FiYw==",
                "malformed: Basic authentication has a password and no user; the key is the user: curl -u <key>:",
            ),
        ] {
            check("authorization", value, expected);
        }
    }

    #[test]
    fn form_of_a_key_is_described_with_its_place() {
        let empty = "is empty; check the variable with the key.";
        let length = "has 10 characters; a key has 78.";
        let length_of_both = "has 23 characters; a key has 78.";
        for (name, value, place, expected) in [
            ("authorization", "", "Authorization", empty),
            ("authorization", "Bearer", "Authorization", empty),
            ("authorization", "Bearer\tmk_abc_def", "Authorization", length),
            // `mk_abcdefghijklmnop:def`, with the secret as the password.
            (
                "authorization",
                "Basic bWtfYWJjZGVmZ2hpamtsbW5vcDpkZWY=",
                "Authorization",
                length_of_both,
            ),
            ("authorization", "Bearer  ", "Authorization", empty),
            // `:`.
            ("authorization", "Basic Og==", "Authorization", empty),
            ("x-api-key", " ", "X-API-Key", empty),
            ("x-api-key", "mk_abc_def", "X-API-Key", length),
            (
                "authorization",
                "Bearer mk_…",
                "Authorization",
                "is a placeholder from an example; put your own key there.",
            ),
        ] {
            check(name, value, &format!("malformed: The API key in {place} {expected}"));
        }
        let request = TestRequest::default().insert_header(("x-api-key", &b"\xff"[..]));
        assert_eq!(
            detail(request, KeySources::Headers),
            "malformed: The API key in the headers has characters that are not part of a key."
        );
    }
}

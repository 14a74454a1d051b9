//! Who is calling: the API key of a request, and what it opens.
//!
//! The first of the ways in which a request can name its key decides. What a caller is told of a key that opens nothing is
//! the same whether it is unknown, expired or revoked. Not here: the form of a key (the domain's), the cache.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercurio_domain::api_key::{ApiKey, PresentedKey, Scope};
use mercurio_domain::limits::Limits;
use mercurio_domain::tenant::TenantStatus;
use mercurio_domain::{Owner, Timestamp};
use mercurio_observability::{Stage, context, keys};
use slog::warn;
use url::form_urlencoded;

use crate::client_ip::client_ip;
use crate::middleware::RequestFacts;
use crate::problem::{Problem, UnauthorizedReason};
use crate::state::{AppState, OVERLOADED_RETRY_AFTER_SECONDS, store_problem};
use mercurio_runtime::key_cache::KeyLookupError;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Where a key may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlaces {
    /// In a header.
    Headers,
    /// In a header, or in the query: a browser's `sendBeacon` can set no header.
    HeadersAndQuery,
}

/// Who is calling, and what they may send.
#[derive(Debug, Clone, Copy)]
pub struct Principal {
    /// Whose the key is.
    pub owner: Owner,
    /// The server's limits, with those of the tenant in their place.
    pub limits: Limits,
}

/// Finds out who is calling, and whether they may do what `scope` stands for; `None`: any scope will do.
///
/// # Errors
/// [`Problem::Unauthorized`], [`Problem::InsufficientScope`], [`Problem::TenantSuspended`], or that the store does not say.
pub async fn authenticate(
    state: &AppState,
    request: &HttpRequest,
    scope: Option<Scope>,
    places: KeyPlaces,
) -> Result<Principal, Problem> {
    let presented = presented_key(request, places).map_err(|reason| {
        // One without any key is no attempt.
        if reason == UnauthorizedReason::Malformed {
            warn!(context::current(), "an API key was refused";
                keys::CLIENT_IP => shown_client(state, request), keys::REASON => reason.as_str());
        }
        unauthorized(state, reason, reason.as_str())
    })?;
    let key = match state.keys.get(presented.id()).await {
        Ok(key) => key,
        Err(KeyLookupError::Overloaded) => {
            return Err(Problem::Overloaded {
                retry_after_seconds: OVERLOADED_RETRY_AFTER_SECONDS,
            });
        }
        Err(KeyLookupError::Store(error)) => return Err(store_problem(&error)),
    };
    let now = state.clock.now();
    let key = match usable(&presented, key.as_deref(), now) {
        Ok(key) => key,
        Err(reason) => {
            warn!(context::current(), "an API key was refused"; keys::KEY_ID => presented.id().as_str(),
                keys::CLIENT_IP => shown_client(state, request), keys::REASON => reason);
            return Err(unauthorized(state, UnauthorizedReason::Invalid, reason));
        }
    };
    RequestFacts::end_stage(request, Stage::Authenticate);
    RequestFacts::tell(request, |facts| {
        facts.owner = Some(key.owner);
        facts.key_id = Some(key.id.clone());
    });
    context::identify(context::Caller {
        tenant_id: key.owner.tenant_id.0,
        workspace_id: key.owner.workspace_id.0,
        key_id: key.id.as_str().to_owned(),
    });
    if key.tenant_status != TenantStatus::Active {
        return Err(Problem::TenantSuspended);
    }
    if let Some(scope) = scope.filter(|scope| !key.scopes.contains(*scope)) {
        return Err(Problem::InsufficientScope { required: scope.as_str() });
    }
    state.key_uses.record(key, now);
    Ok(Principal { owner: key.owner, limits: key.tenant_limits.over(state.settings.limits) })
}

/// The key that is presented, or why it opens nothing, in a word for operators. One whose secret is wrong is no key at all.
fn usable<'a>(
    presented: &PresentedKey,
    key: Option<&'a ApiKey>,
    now: Timestamp,
) -> Result<&'a ApiKey, &'static str> {
    match key.filter(|key| presented.matches(&key.secret_hash)) {
        None => Err("unknown"),
        Some(key) if key.revoked_at.is_some() => Err("revoked"),
        Some(key) if !key.is_usable_at(now) => Err("expired"),
        Some(key) => Ok(key),
    }
}

/// The client's address, as much of it as is kept.
fn shown_client(state: &AppState, request: &HttpRequest) -> Option<String> {
    client_ip(state, request).and_then(|address| state.enricher.client_ip_policy().text_of(address))
}

/// Counted, so that guessing is seen; the caller is told less.
fn unauthorized(state: &AppState, reason: UnauthorizedReason, counted: &'static str) -> Problem {
    state.metrics.record_refused_key(counted);
    Problem::Unauthorized { reason }
}

fn presented_key(
    request: &HttpRequest,
    places: KeyPlaces,
) -> Result<PresentedKey, UnauthorizedReason> {
    let malformed = UnauthorizedReason::Malformed;
    if let Some(value) = request.headers().get(AUTHORIZATION) {
        let key = value.to_str().ok().and_then(key_of_authorization).ok_or(malformed)?;
        return PresentedKey::parse(&key).map_err(|_| malformed);
    }
    if let Some(value) = request.headers().get(X_API_KEY) {
        let key = value.to_str().map_err(|_| malformed)?;
        return PresentedKey::parse(key.trim()).map_err(|_| malformed);
    }
    if places == KeyPlaces::HeadersAndQuery {
        let mut query = form_urlencoded::parse(request.query_string().as_bytes());
        if let Some((_, key)) = query.find(|(name, _)| name == "auth") {
            return PresentedKey::parse(&key).map_err(|_| malformed);
        }
    }
    Err(UnauthorizedReason::Missing)
}

/// The key of an `Authorization` header: `Bearer KEY`, or `Basic` with the key as the user and no password.
fn key_of_authorization(value: &str) -> Option<Cow<'_, str>> {
    let (scheme, credentials) = value.trim().split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.into());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (user, _) = decoded.split_once(':')?;
    Some(user.to_owned().into())
}

//! Authentication: from the API key of a request to its tenant, workspace and limits.
//!
//! A key for the pages of some origins works in no other page, and nowhere without an `Origin`.
//! The response is the same for unknown, expired and revoked keys, and for a wrong secret. Not here:
//! the format of a key (`domain`), the cache (`runtime`).

mod presented;

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, ORIGIN};
use mercurio_domain::api_key::{ApiKey, PresentedKey, Scope};
use mercurio_domain::limits::{LimitOverrides, Limits};
use mercurio_domain::tenant::TenantStatus;
use mercurio_domain::{Owner, Timestamp};
use mercurio_observability::{Stage, context, keys};
use mercurio_protocols::BodyKey;
use slog::warn;

pub use presented::KeySources;
use presented::{KeyError, key_of_body, presented_key};

use crate::client_ip::client_ip;
use crate::middleware::RequestFacts;
use crate::problem::{Problem, UnauthorizedReason};
use crate::state::{AppState, log_store_error, problem_of_store};
use crate::transport::ConnectionActivity;
use mercurio_runtime::key_cache::KeyLookupError;
use mercurio_runtime::refusal_log::RefusalLine;

/// The detail for every well-formed key that is of no use. It must not depend on the key.
pub(crate) const NOT_USABLE: &str =
    "The API key is well-formed, but not valid on this server: it is unknown, expired or revoked.";

/// The owner and the limits of an authenticated request.
#[derive(Debug, Clone, Copy)]
pub struct Principal {
    /// The tenant and workspace of the key.
    pub owner: Owner,
    /// The tenant's own limits, and the server's for the rest.
    pub limits: Limits,
    /// The tenant's own limits alone.
    pub own_limits: LimitOverrides,
}

/// Authenticates a request and checks its scope; `None` accepts any scope. Reads the database if
/// the key is not cached.
///
/// # Errors
/// [`Problem::Unauthorized`], [`Problem::TenantSuspended`], [`Problem::InsufficientScope`],
/// [`Problem::OriginNotAllowed`], or the problem of a failed query.
pub async fn authenticate(
    state: &AppState,
    request: &HttpRequest,
    scope: Option<Scope>,
    sources: KeySources,
) -> Result<Principal, Problem> {
    identify(state, request, scope, presented_key(request, sources)).await
}

/// Authenticates a client of another service by its headers, for the scope to write. `None`: they
/// have no key, but the body may.
///
/// # Errors
/// As [`authenticate`].
pub async fn authenticate_headers(
    state: &AppState,
    request: &HttpRequest,
) -> Result<Option<Principal>, Problem> {
    match presented_key(request, KeySources::ForeignHeaders) {
        Err(error) if error.reason == UnauthorizedReason::Missing => Ok(None),
        presented => identify(state, request, Some(Scope::EventsWrite), presented).await.map(Some),
    }
}

/// Authenticates a client of another service by the key in its body, for the scope to write.
///
/// # Errors
/// As [`authenticate`].
pub async fn authenticate_body(
    state: &AppState,
    request: &HttpRequest,
    key: &BodyKey<'_>,
) -> Result<Principal, Problem> {
    identify(state, request, Some(Scope::EventsWrite), key_of_body(key)).await
}

async fn identify(
    state: &AppState,
    request: &HttpRequest,
    scope: Option<Scope>,
    presented: Result<PresentedKey, KeyError>,
) -> Result<Principal, Problem> {
    let presented = match presented {
        Ok(presented) => presented,
        Err(error) => {
            // Without a key there is no attempt to report.
            if error.reason == UnauthorizedReason::Malformed {
                log_refused_key(state, request, None, error.reason.as_str());
            }
            return Err(not_presented(state, error));
        }
    };
    // From the cache. A revocation reaches it by notice within a second, at worst by its lifetime
    // (ADR 7).
    let key = look_up(state, &presented).await?;
    let now = state.clock.now();
    let key = match usable(&presented, key.as_deref(), now) {
        Ok(key) => key,
        Err(reason) => {
            log_refused_key(state, request, Some(&presented), reason);
            return Err(not_usable(state, reason));
        }
    };
    RequestFacts::end_stage(request, Stage::Authenticate);
    ConnectionActivity::note_key(request);
    // Known before the checks below, so that the log lines of their refusals name the tenant.
    RequestFacts::update(request, |facts| {
        facts.owner = Some(key.owner);
        facts.key_id = Some(key.id.clone());
    });
    context::identify(context::Caller {
        tenant_id: key.owner.tenant_id.0,
        workspace_id: key.owner.workspace_id.0,
        key_id: key.id.as_str().to_owned(),
    });
    // Before the scope: a suspended tenant learns only that.
    if key.tenant_status != TenantStatus::Active {
        return Err(Problem::TenantSuspended);
    }
    if let Some(scope) = scope.filter(|scope| !key.scopes.contains(*scope)) {
        return Err(Problem::InsufficientScope { required: scope.as_str() });
    }
    check_origin(state, request, &presented, key)?;
    // Last: refused requests are not uses. Written at most once a minute per key.
    state.key_uses.record(key, now);
    // A tenant's own limit replaces the server's, even if it is higher.
    let limits = key.tenant_limits.over(state.settings.limits);
    Ok(Principal { owner: key.owner, limits, own_limits: key.tenant_limits })
}

async fn look_up(
    state: &AppState,
    presented: &PresentedKey,
) -> Result<Option<Arc<ApiKey>>, Problem> {
    match state.keys.get(presented.id()).await {
        Ok(key) => Ok(key),
        // Lookups have few slots, so that unknown keys cannot occupy every database reader.
        Err(KeyLookupError::Overloaded) => Err(state.overloaded()),
        Err(KeyLookupError::Store(error)) => {
            // Without a database, every request with an unknown key ends here.
            let admitted = state.refusals.admit(RefusalLine::FailedLookup, Instant::now());
            if let Some(not_logged) = admitted {
                log_store_error(&error, not_logged);
            }
            Err(problem_of_store(&error))
        }
    }
}

/// Checks that a key with origins comes from one of their pages.
///
/// Browsers send `Origin` with every POST, and no script can change it. Other programs can send any,
/// so a request without one is refused to show the mistake early, and not for safety.
fn check_origin(
    state: &AppState,
    request: &HttpRequest,
    presented: &PresentedKey,
    key: &ApiKey,
) -> Result<(), Problem> {
    let Some(origins) = &key.origins else { return Ok(()) };
    let origin = single(request, ORIGIN);
    if origin.is_some_and(|origin| origins.allow(origin)) {
        return Ok(());
    }
    log_refused_key(state, request, Some(presented), "origin");
    state.metrics.record_refused_key("origin");
    Err(Problem::OriginNotAllowed { origin: origin.map(str::to_owned) })
}

/// Returns the value of a header, unless the request has several of that name or other text than
/// ASCII.
fn single(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    let mut values = request.headers().get_all(name);
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Checks the key of an authenticated request again, and its tenant.
///
/// # Errors
/// [`Problem::Unauthorized`] or [`Problem::TenantSuspended`] if it ended since, or the problem of a failed query.
pub async fn recheck_key(
    state: &AppState,
    request: &HttpRequest,
    sources: KeySources,
) -> Result<(), Problem> {
    let presented = presented_key(request, sources).map_err(|error| not_presented(state, error))?;
    KeyWatch(presented).check(state).await
}

/// The key of an authenticated request whose response lasts, to be checked again until it ends. Holds
/// the hash of its secret.
pub(crate) struct KeyWatch(PresentedKey);

impl KeyWatch {
    /// Returns the key of an authenticated request.
    ///
    /// # Errors
    /// As [`authenticate`].
    pub(crate) fn of(
        state: &AppState,
        request: &HttpRequest,
        sources: KeySources,
    ) -> Result<Self, Problem> {
        let presented = presented_key(request, sources);
        presented.map(Self).map_err(|error| not_presented(state, error))
    }

    /// Checks the key and its tenant, as [`recheck_key`].
    pub(crate) async fn check(&self, state: &AppState) -> Result<(), Problem> {
        let Self(presented) = self;
        let key = look_up(state, presented).await?;
        match usable(presented, key.as_deref(), state.clock.now()) {
            Err(reason) => Err(not_usable(state, reason)),
            Ok(key) if key.tenant_status != TenantStatus::Active => Err(Problem::TenantSuspended),
            Ok(_) => Ok(()),
        }
    }
}

/// Returns the stored key, or the reason for operators. A wrong secret counts as an unknown key, so
/// that the id alone does not reveal a key's state.
fn usable<'a>(
    presented: &PresentedKey,
    key: Option<&'a ApiKey>,
    now: Timestamp,
) -> Result<&'a ApiKey, &'static str> {
    // Compares hashes, in constant time.
    match key.filter(|key| presented.matches(&key.secret_hash)) {
        None => Err("unknown"),
        Some(key) if key.revoked_at.is_some() => Err("revoked"),
        Some(key) if !key.is_usable_at(now) => Err("expired"),
        Some(key) => Ok(key),
    }
}

fn log_refused_key(
    state: &AppState,
    request: &HttpRequest,
    presented: Option<&PresentedKey>,
    reason: &'static str,
) {
    let Some(not_logged) = state.refusals.admit(RefusalLine::RefusedKey, Instant::now()) else {
        return;
    };
    warn!(context::current(), "API key refused";
        keys::KEY_ID => presented.map(|presented| presented.id().as_str()),
        keys::CLIENT_IP => logged_client(state, request), keys::REASON => reason,
        keys::NOT_LOGGED => Some(not_logged).filter(|omitted| *omitted > 0));
}

/// Returns the client's address as far as `MERCURIO_CLIENT_IP` allows to log it.
fn logged_client(state: &AppState, request: &HttpRequest) -> Option<String> {
    client_ip(state, request).and_then(|address| state.enricher.client_ip_policy().text_of(address))
}

fn not_presented(state: &AppState, error: KeyError) -> Problem {
    let KeyError { reason, detail } = error;
    state.metrics.record_refused_key(reason.as_str());
    Problem::Unauthorized { reason, detail }
}

/// Counts the refusal by its exact reason, which makes guessing visible. The client sees less.
fn not_usable(state: &AppState, counted: &'static str) -> Problem {
    state.metrics.record_refused_key(counted);
    Problem::Unauthorized { reason: UnauthorizedReason::Invalid, detail: NOT_USABLE.into() }
}

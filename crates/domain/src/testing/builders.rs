//! Events, submissions, rejections and tenants for tests, each in one call.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::api_key::{ENTROPY_BYTES, NewApiKey, Scopes, SecretKey};
use crate::clock::Timestamp;
use crate::enrichment::Enrichment;
use crate::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use crate::ids::{ApiKeyId, EventId, Owner};
use crate::store::{Provisioning, RejectedEvent, Submission};
use crate::tenant::Name;
use crate::verdict::{FieldError, FieldErrorCode};

/// An enriched event of user `u`.
///
/// # Panics
/// If the id or the name breaks a rule.
#[must_use]
pub fn enriched(event_id: &str, event_name: &str, occurred_at: Timestamp) -> EnrichedEvent {
    let draft = EventDraft {
        event_id: Some(event_id.into()),
        event_name: Some(event_name.into()),
        user_id: Some("u".into()),
        ..EventDraft::default()
    };
    let mut errors = Vec::new();
    // The source of ids is never called: the draft has one.
    let valid = draft.check("", &Reception::at(occurred_at), || EventId::lookup(""), &mut errors);
    let valid = valid.unwrap_or_else(|| panic!("{errors:?}"));
    EnrichedEvent::new(valid, EnrichmentJson::of(&Enrichment::default()))
}

/// A submission of events named `e` with these ids.
#[must_use]
pub fn submission(owner: Owner, received_at: Timestamp, event_ids: &[&str]) -> Submission {
    let events = event_ids.iter().map(|id| enriched(id, "e", received_at)).collect();
    Submission { owner, received_at, events }
}

/// A tenant with the workspace `Default`, and the key to it. `seed` makes keys differ.
///
/// # Panics
/// If the name breaks a rule.
#[must_use]
pub fn provisioning(tenant: &str, seed: u8, created_at: Timestamp) -> (Provisioning, SecretKey) {
    let name = |text: &str| Name::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let new = NewApiKey::generate(&[seed; ENTROPY_BYTES]);
    let request = Provisioning {
        tenant: name(tenant),
        workspace: name("Default"),
        key_name: name("Default API key"),
        key_id: new.id,
        secret_hash: new.secret_hash,
        scopes: Scopes::all(),
        samples: Vec::new(),
        created_at,
    };
    (request, new.key)
}

/// A rejected event named `e` of user `u`, with an error of each code at `/properties`. Its id is
/// higher than those before.
#[must_use]
pub fn rejection(owner: Owner, received_at: Timestamp, codes: &[FieldErrorCode]) -> RejectedEvent {
    static LAST_ID: AtomicU64 = AtomicU64::new(0);
    let id = LAST_ID.fetch_add(1, Ordering::Relaxed) + 1;
    let error = |code: &FieldErrorCode| FieldError::new("/properties", *code, "wrong");
    RejectedEvent {
        id: Uuid::from_u128(u128::from(id)),
        owner,
        received_at,
        event_id: None,
        event_name: Some("e".to_owned()),
        user_id: Some("u".to_owned()),
        anonymous_id: None,
        errors: codes.iter().map(error).collect(),
        event: r#"{"event_name":"e","user_id":"u","properties":1}"#.to_owned(),
        is_cut: false,
        request_id: format!("request {id}"),
        api_key_id: ApiKeyId::new("a1b2c3d4e5f6"),
        protocol: "mercurio".to_owned(),
        sdk: None,
        user_agent: None,
    }
}

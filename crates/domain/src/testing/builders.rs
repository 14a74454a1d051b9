//! Events, submissions and tenants for tests, each in one call.

use crate::api_key::{ENTROPY_BYTES, NewApiKey, Scopes, SecretKey};
use crate::clock::Timestamp;
use crate::enrichment::Enrichment;
use crate::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use crate::ids::{EventId, Owner};
use crate::store::{Provisioning, Submission};
use crate::tenant::Name;

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

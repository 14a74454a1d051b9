//! Drafts to valid events, or rejections that name every fault; and the places that keep the order of the request.
//!
//! The rules themselves are the domain's ([`EventDraft::check`](mercurio_domain::event::EventDraft::check)). Added here
//! is what depends on the tenant's limits and on the request: the size of an event, and the ids of events without one.

use mercurio_domain::event::{Reception, ValidEvent};
use mercurio_domain::ids::IdGenerator;
use mercurio_domain::verdict::{
    FieldError, FieldErrorCode, Outcome, Rejection, Verdict, pointer_to,
};
use mercurio_domain::{EventId, TenantId};

use crate::parse::{Item, sound_event_id};

/// Where the ids of events without one come from.
#[derive(Clone, Copy)]
pub enum IdSource<'a> {
    /// A new id each time.
    Generated(&'a dyn IdGenerator),
    /// From the tenant, the client's `Idempotency-Key`, the event's place and its bytes: the same each time.
    Derived {
        /// Whose events.
        tenant_id: TenantId,
        /// The key.
        idempotency_key: &'a str,
    },
}

/// The events of a request, the valid ones divided from the others, each with its place.
#[derive(Debug)]
pub struct ValidatedBatch {
    /// The valid events, in the order of the request.
    pub events: Vec<ValidEvent>,
    places: Vec<Place>,
}

#[derive(Debug)]
enum Place {
    /// The next of the valid events.
    Valid(EventId),
    Rejected(Rejection),
}

/// Checks every item on its own.
#[must_use]
pub fn validate(items: Vec<Item<'_>>, reception: &Reception, ids: IdSource<'_>) -> ValidatedBatch {
    let mut validated = ValidatedBatch {
        events: Vec::with_capacity(items.len()),
        places: Vec::with_capacity(items.len()),
    };
    for item in items {
        match validate_item(item, reception, ids) {
            Ok(event) => {
                validated.places.push(Place::Valid(event.event_id().clone()));
                validated.events.push(event);
            }
            Err(rejection) => validated.places.push(Place::Rejected(rejection)),
        }
    }
    validated
}

fn validate_item(
    item: Item<'_>,
    reception: &Reception,
    ids: IdSource<'_>,
) -> Result<ValidEvent, Rejection> {
    let Item { index, pointer, text, draft, mut errors } = item;
    let unread: Vec<String> = errors.iter().map(|fault| fault.pointer.clone()).collect();
    let limit = reception.limits.max_event_bytes;
    if text.len() > limit {
        let message = format!("the event has {} bytes; the limit is {limit}", text.len());
        errors.insert(
            0,
            FieldError::new(pointer.to_string(), FieldErrorCode::EventTooLarge, message),
        );
    }
    let new_id = || match ids {
        IdSource::Generated(generator) => EventId::generated(generator.next_uuid()),
        IdSource::Derived { tenant_id, idempotency_key } => {
            EventId::derived(tenant_id, idempotency_key, index, text.as_bytes())
        }
    };
    let told = errors.len();
    draft.check(pointer, reception, new_id, &mut errors).ok_or_else(|| {
        forget_echoes(&unread, told, &pointer.to_string(), &mut errors);
        // Read again: an id that only a rejection needs is not worth a copy for each valid event.
        Rejection::new(sound_event_id(text), errors)
    })
}

/// A member that could not be read counts as missing for the rules after it. What they then say of it is only an echo of
/// the fault that is told already. `told`: how many errors there were before those rules.
fn forget_echoes(unread: &[String], told: usize, pointer: &str, errors: &mut Vec<FieldError>) {
    let is_unread = |member: &str| unread.contains(&pointer_to(pointer, member));
    let no_object = unread.iter().any(|place| place == pointer);
    let no_person = is_unread("anonymous_id") || is_unread("user_id");
    let mut at = 0;
    errors.retain(|fault| {
        let echo = at >= told
            && fault.code == FieldErrorCode::Required
            && (no_object
                || unread.contains(&fault.pointer)
                || (no_person && fault.pointer == pointer));
        at += 1;
        !echo
    });
}

impl ValidatedBatch {
    /// Whether every event was rejected.
    #[must_use]
    pub fn is_all_rejected(&self) -> bool {
        self.places.iter().all(|place| matches!(place, Place::Rejected(_)))
    }

    /// Takes the valid events out, for the next stage.
    pub fn take_events(&mut self) -> Vec<ValidEvent> {
        std::mem::take(&mut self.events)
    }

    /// Puts what the store said of the valid events, in their order, back into the order of the request.
    #[must_use]
    pub fn verdicts(self, outcomes: &[Outcome]) -> Vec<Verdict> {
        let mut outcomes = outcomes.iter();
        let verdict = |place| match place {
            Place::Rejected(rejection) => Some(Verdict::Rejected(rejection)),
            Place::Valid(event_id) => {
                outcomes.next().map(|outcome| Verdict::Stored(event_id, *outcome))
            }
        };
        let count = self.places.len();
        let verdicts: Vec<_> = self.places.into_iter().filter_map(verdict).collect();
        assert_eq!(verdicts.len(), count, "the store answers for every event");
        verdicts
    }
}

#[cfg(test)]
mod tests;

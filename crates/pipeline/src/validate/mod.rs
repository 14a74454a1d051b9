//! Validation: event drafts to valid events, or to rejections with every error.
//!
//! The domain holds the rules ([`EventDraft::check`](mercurio_domain::event::EventDraft::check)).
//! This stage adds the size limit and the ids of events without one, and keeps the order of the
//! request.

use mercurio_domain::event::{EventDraft, Member, Origin, Reception, ValidEvent};
use mercurio_domain::ids::IdGenerator;
use mercurio_domain::request::Item;
use mercurio_domain::verdict::{FieldError, FieldErrorCode, Outcome, Rejection, Verdict};
use mercurio_domain::{EventId, TenantId};

/// The source of ids for events without one.
#[derive(Clone, Copy)]
pub enum IdSource<'a> {
    /// A new id each time.
    Generated(&'a dyn IdGenerator),
    /// The same id for the same tenant, `Idempotency-Key`, index and event, so that a retry stores
    /// nothing twice.
    Derived {
        /// Owner of the events.
        tenant_id: TenantId,
        /// The client's key.
        idempotency_key: &'a str,
    },
}

impl IdSource<'_> {
    fn id_of(self, index: usize, text: &str) -> EventId {
        match self {
            Self::Generated(generator) => EventId::generated(generator.next_uuid()),
            Self::Derived { tenant_id, idempotency_key } => {
                EventId::derived(tenant_id, idempotency_key, index, text.as_bytes())
            }
        }
    }
}

/// The events of a request after validation.
#[derive(Debug)]
pub struct ValidatedBatch<'a> {
    /// The valid events, in the order of the request.
    pub events: Vec<ValidEvent>,
    /// The content of the rejected events, in the order of the request.
    pub rejected: Vec<RejectedItem<'a>>,
    results: Vec<ValidationResult>,
}

/// The content of a rejected event: slices of the body, so that it costs no copy until it is kept.
#[derive(Debug)]
pub struct RejectedItem<'a> {
    /// Position in the body, and names of the members there.
    pub origin: Origin,
    /// The event as sent, without surrounding white space.
    pub text: &'a str,
    /// The members that could be read. They may break any rule.
    pub draft: Box<EventDraft<'a>>,
}

#[derive(Debug)]
enum ValidationResult {
    /// Belongs to the next of the valid events.
    Valid(EventId),
    Rejected(Rejection),
}

/// Validates each event on its own.
#[must_use]
pub fn validate<'a>(
    items: Vec<Item<'a>>,
    reception: &Reception,
    ids: IdSource<'_>,
) -> ValidatedBatch<'a> {
    let mut batch = ValidatedBatch {
        events: Vec::with_capacity(items.len()),
        rejected: Vec::new(),
        results: Vec::with_capacity(items.len()),
    };
    for item in items {
        match validate_item(item, reception, ids) {
            Ok(event) => {
                batch.results.push(ValidationResult::Valid(event.event_id().clone()));
                batch.events.push(event);
            }
            Err(Rejected { rejection, item }) => {
                batch.results.push(ValidationResult::Rejected(rejection));
                batch.rejected.push(item);
            }
        }
    }
    batch
}

struct Rejected<'a> {
    rejection: Rejection,
    item: RejectedItem<'a>,
}

#[expect(clippy::result_large_err, reason = "a box would cost a flood of rejections more")]
fn validate_item<'a>(
    item: Item<'a>,
    reception: &Reception,
    ids: IdSource<'_>,
) -> Result<ValidEvent, Rejected<'a>> {
    let Item { index, origin, text, draft, mut errors } = item;
    // Before the size error below, whose pointer is the event: it would explain away missing
    // members.
    let unread: Vec<String> = errors.iter().map(|error| error.pointer.clone()).collect();
    // Checked here, not while parsing: an event over the limit rejects itself alone.
    let limit = reception.limits.max_event_bytes;
    if text.len() > limit {
        let message = format!("the event has {} bytes; the limit is {limit}", text.len());
        let error =
            FieldError::new(origin.pointer.to_string(), FieldErrorCode::EventTooLarge, message);
        // First, because at most 20 errors are returned and this one explains the rejection.
        errors.insert(0, error);
    }
    // Only errors of the rules are filtered; those of the parser are the causes.
    let parse_errors = errors.len();
    // Called for a valid event only, so a rejected one consumes no id.
    let new_id = || ids.id_of(index, text);
    draft.check_or_return(origin, reception, new_id, &mut errors).map_err(|draft| {
        let rule_errors = errors.split_off(parse_errors);
        let unread = UnreadMembers { origin, pointers: unread };
        errors.extend(rule_errors.into_iter().filter(|error| !unread.explain(error)));
        let rejection = Rejection::new(draft.valid_event_id(), errors);
        Rejected { rejection, item: RejectedItem { origin, text, draft } }
    })
}

/// The members that parsing could not read. The rules see them as missing and would report them a
/// second time.
struct UnreadMembers {
    origin: Origin,
    pointers: Vec<String>,
}

impl UnreadMembers {
    /// Returns whether `error` only reports an unread member as missing.
    fn explain(&self, error: &FieldError) -> bool {
        // The rule of persons points to the event, because either of two members satisfies it.
        let event = self.origin.pointer.to_string();
        let is_person = error.pointer == event;
        error.code == FieldErrorCode::Required
            && (self.pointers.contains(&event)
                || self.pointers.contains(&error.pointer)
                || (is_person && (self.has(Member::AnonymousId) || self.has(Member::UserId))))
    }

    fn has(&self, member: Member) -> bool {
        self.pointers.contains(&self.origin.pointer_to(member))
    }
}

impl<'a> ValidatedBatch<'a> {
    /// Returns whether every event was rejected.
    #[must_use]
    pub fn is_all_rejected(&self) -> bool {
        self.results.iter().all(|result| matches!(result, ValidationResult::Rejected(_)))
    }

    /// Takes the valid events out, for the next stage.
    pub fn take_events(&mut self) -> Vec<ValidEvent> {
        std::mem::take(&mut self.events)
    }

    /// Takes the content of the rejected events out, for those who keep it.
    pub fn take_rejected(&mut self) -> Vec<RejectedItem<'a>> {
        std::mem::take(&mut self.rejected)
    }

    /// Merges the store's outcomes of the valid events with the rejections, in the order of the
    /// request.
    ///
    /// # Panics
    /// If `outcomes` has fewer outcomes than valid events.
    #[must_use]
    pub fn verdicts(self, outcomes: &[Outcome]) -> Vec<Verdict> {
        let mut outcomes = outcomes.iter();
        let mut verdicts = Vec::with_capacity(self.results.len());
        for result in self.results {
            verdicts.push(match result {
                ValidationResult::Rejected(rejection) => Verdict::Rejected(rejection),
                ValidationResult::Valid(event_id) => {
                    let outcome = outcomes.next().expect("the store returns one outcome per event");
                    Verdict::Stored(event_id, *outcome)
                }
            });
        }
        debug_assert!(outcomes.next().is_none(), "the store returns one outcome per event");
        verdicts
    }
}

#[cfg(test)]
mod tests;

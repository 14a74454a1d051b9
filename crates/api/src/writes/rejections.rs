//! Rejected events and refused requests, handed over to the recorder.
//!
//! A kept event is a copy for the person who mends it: without keys, and bounded. Nothing here runs
//! for a request whose events are all valid.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::header::USER_AGENT;
use mercurio_domain::event::{EventDraft, Member};
use mercurio_domain::hints::{Meant, meant_in_event};
use mercurio_domain::payload::{read_members, text_of};
use mercurio_domain::store::RejectedEvent;
use mercurio_domain::verdict::{FieldError, Rejection, Verdict};
use mercurio_domain::{ApiKeyId, EventId, Owner};
use mercurio_pipeline::validate::RejectedItem;
use mercurio_protocols::{OTHER_LIBRARY, without_keys};
use mercurio_runtime::rejection_recorder::{CountedRejection, KeptRejection, cut};
use serde::Deserialize;

use super::arrival::{Arrival, request_id};
use crate::middleware::RequestFacts;
use crate::problem::Problem;
use crate::state::AppState;

/// Maximum bytes of the text of a kept event.
const MAX_EVENT_BYTES: usize = 64 * 1024;
/// More of the text is looked at, so that a key at the cut is found.
const CUT_MARGIN: usize = 1_024;
/// Maximum characters of a kept name, user agent and the like.
const MAX_TEXT_CHARS: usize = 512;
/// The protocol of this server's own API.
const OWN_PROTOCOL: &str = "mercurio";

/// Counts the rejected events of an answered request, and keeps a sample of them. `rejected` are
/// those of the rejections among `verdicts`, in their order.
#[cold]
pub(super) fn record(
    state: &AppState,
    request: &HttpRequest,
    owner: Owner,
    arrival: &Arrival,
    rejected: &[RejectedItem<'_>],
    verdicts: &[Verdict],
) {
    // Absent in unit tests of handlers.
    let mut key_id = None;
    RequestFacts::update(request, |facts| key_id = facts.key_id.clone());
    let Some(key_id) = key_id.filter(|_| state.rejections.is_enabled()) else { return };
    let rejections: Vec<&Rejection> = verdicts.iter().filter_map(rejection).collect();
    debug_assert_eq!(rejections.len(), rejected.len(), "each rejection has its item");
    let pointers: Vec<String> =
        rejected.iter().map(|item| item.origin.pointer.to_string()).collect();
    let mut counted = Vec::with_capacity(rejected.len());
    for ((rejection, item), pointer) in rejections.iter().zip(rejected).zip(&pointers) {
        counted.push(CountedRejection {
            errors: &rejection.errors,
            pointer,
            event_name: item.draft.event_name.as_deref(),
            bytes: item.text.len().min(MAX_EVENT_BYTES),
        });
    }
    let kept = state.rejections.count_events(owner, arrival.received_at, &counted);
    if kept.is_empty() {
        return;
    }
    let copier = Copier::new(request, owner, arrival, key_id);
    let mut events = Vec::with_capacity(kept.len());
    for kept in &kept {
        events.push(copier.copy(kept, rejections[kept.index], &rejected[kept.index]));
    }
    state.rejections.keep(&kept, events);
}

fn rejection(verdict: &Verdict) -> Option<&Rejection> {
    match verdict {
        Verdict::Rejected(rejection) => Some(rejection),
        Verdict::Stored(..) => None,
    }
}

/// Counts a request that was refused before its events were read, if its key is known.
pub(crate) fn record_refusal(
    state: &AppState,
    request: &HttpRequest,
    arrival: &Arrival,
    problem: &Problem,
) {
    let parts = problem.parts();
    // Failures of the server are no mistakes of the sender.
    if !parts.status.is_client_error() {
        return;
    }
    let mut owner = None;
    RequestFacts::update(request, |facts| {
        // With verdicts, every event was rejected, and counted.
        owner = facts.owner.filter(|_| facts.events.is_none());
    });
    if let Some(owner) = owner {
        state.rejections.count_request(owner, arrival.received_at, &parts.code);
    }
}

/// Copies rejected events of a request.
struct Copier<'a> {
    owner: Owner,
    arrival: &'a Arrival,
    key_id: ApiKeyId,
    request_id: String,
    user_agent: Option<String>,
}

impl<'a> Copier<'a> {
    fn new(request: &HttpRequest, owner: Owner, arrival: &'a Arrival, key_id: ApiKeyId) -> Self {
        let user_agent = request.headers().get(USER_AGENT);
        let user_agent = user_agent.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let user_agent = user_agent.as_deref().map(short);
        Self { owner, arrival, key_id, request_id: request_id(), user_agent }
    }

    fn copy(
        &self,
        kept: &KeptRejection,
        rejection: &Rejection,
        RejectedItem { origin, text, draft }: &RejectedItem<'_>,
    ) -> RejectedEvent {
        let client = self.arrival.client;
        let event = self.event_text(text);
        let names = [Member::UserId, Member::AnonymousId].map(|member| origin.names.of(member));
        let [user_id, anonymous_id] = persons(text, draft, names);
        let library = client.map(|client| client.library).filter(|name| *name != OTHER_LIBRARY);
        RejectedEvent {
            id: kept.id,
            owner: self.owner,
            received_at: self.arrival.received_at,
            event_id: rejection.event_id.as_ref().map(EventId::as_str).map(short),
            event_name: draft.event_name.as_deref().map(short),
            user_id,
            anonymous_id,
            errors: rejection.errors.iter().map(short_error).collect(),
            is_cut: text.len() > MAX_EVENT_BYTES,
            event,
            request_id: self.request_id.clone(),
            api_key_id: self.key_id.clone(),
            protocol: client
                .map_or(OWN_PROTOCOL, |client| client.form.protocol().as_str())
                .to_owned(),
            sdk: sdk(draft).or_else(|| library.map(str::to_owned)),
            user_agent: self.user_agent.clone(),
        }
    }

    /// Returns the text to keep of an event.
    fn event_text(&self, text: &str) -> String {
        let seen = &text[..text.floor_char_boundary(MAX_EVENT_BYTES + CUT_MARGIN)];
        let masked = match self.arrival.client {
            Some(client) => client.form.without_keys(seen),
            None => without_keys(seen),
        };
        masked[..masked.floor_char_boundary(MAX_EVENT_BYTES)].to_owned()
    }
}

/// Returns a text of bounded length without keys.
fn short(text: &str) -> String {
    // Cut last: the rest of a key that was cut would not be found.
    cut(without_keys(text), MAX_TEXT_CHARS).into_owned()
}

fn short_error(FieldError { pointer, code, message }: &FieldError) -> FieldError {
    FieldError::new(short(pointer), *code, short(message))
}

/// Returns the ids of the person, user and anonymous, so that an erasure finds the event: those of
/// the draft, otherwise those in members of the wrong type or the wrong name. `names` are those of
/// the protocol.
fn persons(text: &str, draft: &EventDraft<'_>, names: [&str; 2]) -> [Option<String>; 2] {
    let mut found =
        [draft.user_id.as_deref(), draft.anonymous_id.as_deref()].map(|id| id.map(short));
    if found.iter().all(Option::is_some) {
        return found;
    }
    // Ends early at a broken name.
    read_members(text, |name, value| {
        let meant = meant_in_event(&name);
        for (index, own) in ["user_id", "anonymous_id"].into_iter().enumerate() {
            let is_person = *name == *names[index] || meant == Some(Meant::Member(own));
            if is_person && found[index].is_none() {
                found[index] = id_in(value.text());
            }
        }
    })
    .ok();
    found
}

/// Returns the id in a JSON value: a text, or the digits of a number.
fn id_in(json: &str) -> Option<String> {
    let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let id = if is_number { Cow::Borrowed(json) } else { text_of(json).ok()? };
    Some(short(&id)).filter(|id| !id.is_empty())
}

/// The library in a context, as most clients write it.
#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow)]
    library: Library<'a>,
}

#[derive(Deserialize)]
struct Library<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    version: Option<Cow<'a, str>>,
}

/// Returns the name and version of the client's library: `analytics-python 2.4.0`.
fn sdk(draft: &EventDraft<'_>) -> Option<String> {
    let context = draft.context.as_ref()?;
    let Context { library: Library { name, version } } =
        serde_json::from_str(context.get()).ok()?;
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    Some(short(&format!("{name}{version}")))
}

#[cfg(test)]
mod tests {
    use mercurio_domain::payload::RawJson;

    use super::*;

    #[test]
    fn person_is_found_under_other_types_and_names() {
        let own = ["user_id", "anonymous_id"];
        for (text, draft, expected) in [
            (r#"{"user_id":42}"#, EventDraft::default(), [Some("42"), None]),
            (r#"{"userId":"u","deviceId":"d"}"#, EventDraft::default(), [Some("u"), Some("d")]),
            (r#"{"user_id":["u"],"anonymous_id":""}"#, EventDraft::default(), [None, None]),
            // The draft has the one that counts.
            (
                r#"{"user_id":"a","user_id":"b","distinct_id":"c"}"#,
                EventDraft { user_id: Some("a".into()), ..EventDraft::default() },
                [Some("a"), None],
            ),
            ("7", EventDraft::default(), [None, None]),
        ] {
            let found = persons(text, &draft, own);
            assert_eq!(found.each_ref().map(Option::as_deref), expected, "{text}");
        }
        let found = persons(r#"{"userId":7}"#, &EventDraft::default(), ["userId", "anonymousId"]);
        assert_eq!(found[0].as_deref(), Some("7"));
    }

    #[test]
    fn library_is_read_from_the_context() {
        for (context, expected) in [
            (r#"{"library":{"name":"n","version":"1","x":[]},"y":1}"#, Some("n 1")),
            (r#"{"library":{"name":"n"}}"#, Some("n")),
            (r#"{"library":"n"}"#, None),
            ("7", None),
        ] {
            let context = RawJson::parse(context).ok();
            let draft = EventDraft { context, ..EventDraft::default() };
            assert_eq!(sdk(&draft).as_deref(), expected);
        }
    }
}

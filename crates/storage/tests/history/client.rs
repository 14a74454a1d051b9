//! A client that writes into a store, and records the outcomes as a client of the server would.

use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, EventDraft, Reception};
use mercurio_domain::payload::RawJson;
use mercurio_domain::store::{EventWriter, Store, StoreError, Submission};
use mercurio_domain::testing::provisioning;
use mercurio_domain::{Clock, EventId, Owner, Timestamp};
use mercurio_history::{Answer, Digest, History, Payload, Request, SentEvent};

/// The hour of the clock is that of the counts.
struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_micros(since.as_micros() as i64).unwrap()
    }
}

/// An event of person `user_id`.
pub(crate) fn event(event_id: &str, user_id: &str) -> EnrichedEvent {
    let properties = format!(r#"{{"of": "{user_id}"}}"#);
    let draft = EventDraft {
        event_id: Some(event_id.into()),
        event_name: Some(format!("name {}", user_id.len()).into()),
        user_id: Some(user_id.into()),
        properties: Some(RawJson::parse(&properties).unwrap()),
        ..EventDraft::default()
    };
    let mut errors = Vec::new();
    let valid = draft.check("", &Reception::at(Now.now()), || EventId::lookup(""), &mut errors);
    EnrichedEvent::new(
        valid.unwrap_or_else(|| panic!("{errors:?}")),
        EnrichmentJson::of(&Default::default()),
    )
}

/// Creates a tenant and returns its workspace.
pub(crate) fn owner(store: &dyn Store, seed: u8) -> Owner {
    let (request, _) = provisioning(&format!("Tenant {seed}"), seed, Now.now());
    store.provision(&request).unwrap().api_key.owner
}

/// A client of one workspace.
pub(crate) struct Client<'a> {
    pub(crate) writer: &'a dyn EventWriter,
    pub(crate) owner: Owner,
    pub(crate) history: History,
}

impl<'a> Client<'a> {
    pub(crate) fn new(writer: &'a dyn EventWriter, owner: Owner) -> Self {
        Self { writer, owner, history: History::default() }
    }

    /// Sends a batch with these ids, and returns no answers if it is refused. `payload` makes the
    /// payloads of batches differ.
    pub(crate) fn send(&mut self, ids: &[&str], payload: &str) -> Vec<Answer> {
        let (request, result) = self.append(ids, payload);
        match result {
            Ok(answers) => {
                self.history.answered(request, &answers);
                answers
            }
            Err(StoreError::Refused(_)) => {
                self.history.refused(request);
                Vec::new()
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Sends a batch whose answer is lost on its way back.
    pub(crate) fn send_unheard(&mut self, ids: &[&str], payload: &str) {
        let (request, _) = self.append(ids, payload);
        self.history.unanswered(request);
    }

    fn append(&self, ids: &[&str], payload: &str) -> (Request, Result<Vec<Answer>, StoreError>) {
        let events: Vec<_> = ids.iter().map(|id| event(id, &format!("{id} {payload}"))).collect();
        let mut sent = Vec::new();
        for event in &events {
            let digest = Digest::of(&Payload::from(event.parts()));
            sent.push(SentEvent { event_id: event.parts().event_id.as_str().into(), digest });
        }
        let request = Request::begin(self.owner, sent);
        let submission = Submission { owner: self.owner, received_at: Now.now(), events };
        let outcomes = self.writer.append(&[submission]);
        let answers = outcomes.map(|mut outcomes| outcomes.remove(0));
        (request, answers.map(|outcomes| outcomes.into_iter().map(Answer::from).collect()))
    }
}

//! What a request reports to the live tails of its workspace: that events were accepted, and a notice
//! for each duplicate and rejected event.

use std::borrow::Cow;

use mercurio_domain::event::EventType;
use mercurio_domain::request::Item;
use mercurio_domain::verdict::{Outcome, Verdict};
use mercurio_domain::{Owner, Timestamp};
use mercurio_observability::logging::request_line::EventCounts;
use mercurio_runtime::tail::{Missed, Notice, NoticeStatus, TailReport};

use super::arrival::{Arrival, request_id};
use crate::state::AppState;

/// A request to a workspace with a tail. Borrows from the body.
pub(super) struct TailedRequest<'a> {
    owner: Owner,
    members: Vec<Members<'a>>,
}

/// The members of an event that tails show and filter, as sent.
struct Members<'a> {
    event_name: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, str>>,
    anonymous_id: Option<Cow<'a, str>>,
}

impl<'a> TailedRequest<'a> {
    /// Returns `None` if no server has a tail of the workspace. Without any tail, this costs one
    /// load of an atomic number.
    pub(super) fn begin(state: &AppState, owner: Owner, items: &[Item<'a>]) -> Option<Self> {
        if !state.tails.is_watched(owner) {
            return None;
        }
        let members = items.iter().map(|Item { draft, .. }| Members {
            event_name: draft.event_name.clone(),
            kind: draft.kind.clone(),
            user_id: draft.user_id.clone(),
            anonymous_id: draft.anonymous_id.clone(),
        });
        Some(Self { owner, members: members.collect() })
    }

    /// Reports the verdicts, after the commit.
    pub(super) fn report(
        self,
        state: &AppState,
        arrival: Arrival,
        verdicts: &[Verdict],
        counts: EventCounts,
    ) {
        let Self { owner, members } = self;
        let EventCounts { accepted, duplicates, rejected } = counts;
        let mut missed = Missed { duplicates, rejected };
        let wanted = duplicates + rejected;
        let room = state.tails.take_room(owner, wanted as usize);
        let request = Request {
            id: request_id(),
            received_at: arrival.received_at,
            protocol: arrival.protocol(),
        };
        let notices = verdicts.iter().zip(&members);
        let notices = notices.filter_map(|(verdict, members)| request.notice(verdict, members));
        let notices: Vec<_> = notices.take(room).collect();
        for notice in &notices {
            match notice.status {
                NoticeStatus::Duplicate => missed.duplicates -= 1,
                NoticeStatus::Rejected => missed.rejected -= 1,
            }
        }
        let has_accepted = accepted > 0;
        state.tails.report(owner, TailReport { has_accepted, notices, missed });
    }
}

/// The members that all notices of a request share.
struct Request {
    id: String,
    received_at: Timestamp,
    protocol: &'static str,
}

impl Request {
    /// Returns the notice of an event; `None` if it was accepted.
    fn notice(&self, verdict: &Verdict, members: &Members<'_>) -> Option<Notice> {
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(Notice::text);
        let mut notice = Notice {
            status: NoticeStatus::Rejected,
            event_id: None,
            event_name: text(&members.event_name),
            kind: text(&members.kind),
            user_id: text(&members.user_id),
            anonymous_id: text(&members.anonymous_id),
            duplicate_in: None,
            errors: Vec::new(),
            errors_omitted: 0,
            received_at: self.received_at,
            request_id: self.id.clone(),
            protocol: self.protocol.into(),
        };
        match verdict {
            Verdict::Stored(_, Outcome::Accepted) => return None,
            Verdict::Stored(event_id, outcome) => {
                notice.status = NoticeStatus::Duplicate;
                notice.event_id = Some(event_id.as_str().to_owned());
                // A valid event has the defaults of both.
                let kind = notice.kind.get_or_insert_with(|| EventType::Track.as_str().to_owned());
                notice.event_name.get_or_insert_with(|| kind.clone());
                if let Outcome::DuplicateIn(holder) = outcome {
                    notice.duplicate_in = Some(*holder);
                }
            }
            Verdict::Rejected(rejection) => {
                let event_id = rejection.event_id.as_ref();
                notice.event_id = event_id.map(|event_id| event_id.as_str().to_owned());
                (notice.errors, notice.errors_omitted) = Notice::errors_of(&rejection.errors);
            }
        }
        Some(notice)
    }
}

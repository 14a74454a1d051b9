//! Which messages a tail wants.

use mercurio_domain::event::{EventType, StoredEvent};
use mercurio_runtime::tail::{Missed, Notice, NoticeStatus};

/// The verdicts that a tail wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdicts {
    pub(crate) accepted: bool,
    pub(crate) duplicate: bool,
    pub(crate) rejected: bool,
}

impl Verdicts {
    pub(crate) const ALL: Self = Self { accepted: true, duplicate: true, rejected: true };
    pub(crate) const NONE: Self = Self { accepted: false, duplicate: false, rejected: false };
}

/// The filters of a tail. An event must match all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TailFilter {
    pub(crate) verdicts: Verdicts,
    pub(crate) event_name: Option<String>,
    pub(crate) kind: Option<EventType>,
    pub(crate) user_id: Option<String>,
    pub(crate) anonymous_id: Option<String>,
}

impl Default for TailFilter {
    fn default() -> Self {
        Self {
            verdicts: Verdicts::ALL,
            event_name: None,
            kind: None,
            user_id: None,
            anonymous_id: None,
        }
    }
}

impl TailFilter {
    pub(super) fn wants_event(&self, event: &StoredEvent) -> bool {
        let parts = &event.parts;
        self.verdicts.accepted
            && self.kind.is_none_or(|kind| kind == parts.kind)
            && is_wanted(&self.event_name, Some(&parts.event_name))
            && is_wanted(&self.user_id, parts.user_id.as_deref())
            && is_wanted(&self.anonymous_id, parts.anonymous_id.as_deref())
    }

    pub(super) fn wants_notice(&self, notice: &Notice) -> bool {
        let is_wanted_verdict = match notice.status {
            NoticeStatus::Duplicate => self.verdicts.duplicate,
            NoticeStatus::Rejected => self.verdicts.rejected,
        };
        is_wanted_verdict
            && self.kind.is_none_or(|kind| notice.kind.as_deref() == Some(kind.as_str()))
            && is_wanted(&self.event_name, notice.event_name.as_deref())
            && is_wanted(&self.user_id, notice.user_id.as_deref())
            && is_wanted(&self.anonymous_id, notice.anonymous_id.as_deref())
    }

    /// Returns what is left of `missed`. The other members of missed events are unknown.
    pub(super) fn wanted_missed(&self, missed: Missed) -> Missed {
        let Verdicts { duplicate, rejected, .. } = self.verdicts;
        Missed {
            duplicates: if duplicate { missed.duplicates } else { 0 },
            rejected: if rejected { missed.rejected } else { 0 },
        }
    }
}

/// Whether a filter has the found value, or is not set.
fn is_wanted(filter: &Option<String>, found: Option<&str>) -> bool {
    filter.is_none() || filter.as_deref() == found
}

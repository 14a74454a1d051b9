//! An event in its stages: [`EventDraft`] as sent, [`ValidEvent`] that holds all rules, [`EnrichedEvent`] with what the
//! service adds, [`StoredEvent`] as read back.
//!
//! Each stage is made from the one before it and from nothing else, so none can be skipped: [`EventDraft::check`] alone
//! makes a valid event, [`EnrichedEvent::new`] takes one by value, and a store takes only enriched ones.

mod draft;
mod rules;
mod stages;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use draft::{Batch, EventDraft, Reception};
pub use stages::{EnrichedEvent, EnrichmentJson, EventParts, StoredEvent, ValidEvent};

/// The kind of an event, by the vocabulary that Segment's specification made common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventType {
    /// Something happened.
    #[default]
    Track,
    /// A page was seen.
    Page,
    /// A screen of an app was seen.
    Screen,
    /// Who a person is.
    Identify,
    /// Which group a person belongs to.
    Group,
    /// Two ids are one person.
    Alias,
}

impl EventType {
    /// Every type.
    pub const ALL: [Self; 6] =
        [Self::Track, Self::Page, Self::Screen, Self::Identify, Self::Group, Self::Alias];

    /// The type as it stands in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Identify => "identify",
            Self::Group => "group",
            Self::Alias => "alias",
        }
    }

    /// The type of that text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

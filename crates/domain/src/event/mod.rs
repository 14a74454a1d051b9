//! An event in its stages: [`EventDraft`] as sent, [`ValidEvent`] checked, [`EnrichedEvent`] with
//! facts from the service, [`StoredEvent`] as read back.
//!
//! No stage can be skipped: only [`EventDraft::check`] makes a valid event, [`EnrichedEvent::new`]
//! consumes one, and a store takes only enriched events. [`ExportedEvent`] leads back from the JSON
//! of a stored event, by the same check.

mod check;
mod draft;
mod exported;
mod origin;
mod rules;
mod stages;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use check::Reception;
pub use draft::{Batch, EventDraft};
pub use exported::{EXPORTED_MEMBERS, ExportedEvent, ExportedEventError, InvalidMember};
pub use origin::{Member, MemberNames, Origin, Pointer};
pub use stages::{EnrichedEvent, EnrichmentJson, EventParts, StoredEvent, ValidEvent};

/// The kind of an event, in the vocabulary of Segment's specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventType {
    /// A person did something.
    #[default]
    Track,
    /// A person saw a page.
    Page,
    /// A person saw a screen of an app.
    Screen,
    /// Traits of a person.
    Identify,
    /// A person belongs to a group.
    Group,
    /// Two ids belong to one person.
    Alias,
}

impl EventType {
    /// Every type.
    pub const ALL: [Self; 6] =
        [Self::Track, Self::Page, Self::Screen, Self::Identify, Self::Group, Self::Alias];

    /// The type in SQL and JSON.
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

    /// The reverse of [`EventType::as_str`].
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

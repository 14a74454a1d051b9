//! The texts that servers send each other about a workspace: that it is watched, that events were
//! accepted, and notices.
//!
//! A text begins with its sender and the workspace, so that a server without a tail of it parses no
//! more. Members that a newer release adds are ignored, and so are texts of another form.

use mercurio_domain::store::MAX_TAIL_TEXT_BYTES;
use mercurio_domain::{Owner, TenantId, WorkspaceId};
use serde::{Deserialize, Serialize};

use super::notice::Notice;

/// The content of a text that announces a tail of the workspace.
const WATCHED: &str = r#"{"is_watched":true}"#;

/// The content of a text that asks for the announcements of all tails. It names no workspace.
const QUESTION: &str = r#"{"is_question":true}"#;
const NO_WORKSPACE: Owner = Owner { tenant_id: TenantId(0), workspace_id: WorkspaceId(0) };

/// Numbers of events that were not passed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Missed {
    /// Duplicates.
    pub duplicates: u64,
    /// Rejected events.
    pub rejected: u64,
}

impl Missed {
    /// Whether nothing was missed.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The sum of both.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.duplicates + self.rejected
    }

    pub(super) fn add(&mut self, other: Self) {
        self.duplicates += other.duplicates;
        self.rejected += other.rejected;
    }
}

/// The content of a text that announces nothing.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    /// Events were accepted.
    pub(super) is_woken: bool,
    pub(super) missed: Missed,
    pub(super) notices: Vec<Notice>,
}

/// A text, not yet parsed beyond its workspace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) sender: &'a str,
    pub(super) owner: Owner,
    json: &'a str,
}

impl<'a> Envelope<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        let sender = parts.next()?;
        let tenant_id = TenantId(parts.next()?.parse().ok()?);
        let workspace_id = WorkspaceId(parts.next()?.parse().ok()?);
        Some(Self { sender, owner: Owner { tenant_id, workspace_id }, json: parts.next()? })
    }

    pub(super) fn is_announcement(&self) -> bool {
        self.json == WATCHED
    }

    pub(super) fn is_question(&self) -> bool {
        self.json == QUESTION
    }

    pub(super) fn message(&self) -> Option<Message> {
        serde_json::from_str(self.json).ok()
    }
}

fn text(sender: &str, owner: Owner, json: &str) -> String {
    let Owner { tenant_id, workspace_id } = owner;
    format!("{sender} {} {} {json}", tenant_id.0, workspace_id.0)
}

/// Returns the text that announces a tail.
pub(super) fn announcement(sender: &str, owner: Owner) -> String {
    text(sender, owner, WATCHED)
}

/// Returns the text that asks for the announcements of all tails.
pub(super) fn question(sender: &str) -> String {
    text(sender, NO_WORKSPACE, QUESTION)
}

/// Returns the texts of a message. The first one has all but the later notices.
pub(super) fn texts(sender: &str, owner: Owner, message: &Message) -> Vec<String> {
    let Message { is_woken, missed, notices } = message;
    let Missed { duplicates, rejected } = missed;
    let head = format!(
        r#"{{"is_woken":{is_woken},"missed":{{"duplicates":{duplicates},"rejected":{rejected}}},"notices":["#
    );
    let mut texts = Vec::new();
    let mut current = text(sender, owner, &head);
    let mut is_first = true;
    for notice in notices {
        let Ok(json) = serde_json::to_string(notice) else { continue };
        // The comma, and the end of both.
        if !is_first && current.len() + json.len() + 3 > MAX_TAIL_TEXT_BYTES {
            current.push_str("]}");
            texts.push(current);
            current = text(sender, owner, r#"{"notices":["#);
            is_first = true;
        }
        if !is_first {
            current.push(',');
        }
        current.push_str(&json);
        is_first = false;
    }
    current.push_str("]}");
    texts.push(current);
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::notice::sample;

    const OWNER: Owner = Owner { tenant_id: TenantId(7), workspace_id: WorkspaceId(8) };

    #[test]
    fn message_round_trips_in_texts_of_bounded_size() {
        let notices: Vec<_> = (0..100).map(|number| sample(&format!("e{number}"))).collect();
        let missed = Missed { duplicates: 1, rejected: 2 };
        let message = Message { is_woken: true, missed, notices };
        let texts = texts("one", OWNER, &message);
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() <= MAX_TAIL_TEXT_BYTES));
        let mut read = Message::default();
        for text in &texts {
            let envelope = Envelope::parse(text).unwrap();
            assert_eq!((envelope.sender, envelope.owner), ("one", OWNER));
            let part = envelope.message().unwrap();
            read.is_woken |= part.is_woken;
            read.missed.add(part.missed);
            read.notices.extend(part.notices);
        }
        assert_eq!(read, message);
    }

    #[test]
    fn announcement_names_the_workspace() {
        let text = announcement("one", OWNER);
        let envelope = Envelope::parse(&text).unwrap();
        assert!(envelope.is_announcement() && envelope.owner == OWNER, "{text}");
    }

    #[test]
    fn question_is_recognised() {
        let text = question("one");
        let envelope = Envelope::parse(&text).unwrap();
        assert!(envelope.is_question() && !envelope.is_announcement(), "{text}");
    }

    #[test]
    fn text_of_another_form_is_ignored() {
        for text in ["", "one", "one 7 8", "one x 8 {}", "one 7 8 {", "one 7 8 []x"] {
            let message = Envelope::parse(text).and_then(|envelope| envelope.message());
            assert_eq!(message, None, "{text}");
        }
        // A member of a newer release.
        let message = Envelope::parse(r#"one 7 8 {"is_woken":true,"new":[1]}"#).unwrap().message();
        assert!(message.unwrap().is_woken);
    }
}

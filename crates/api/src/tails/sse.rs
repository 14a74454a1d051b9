//! Server-sent events (WHATWG HTML, "Server-sent events"): the text of messages.

use std::time::Duration;

use mercurio_domain::store::FeedCursor;
use serde::Serialize;

/// Appends messages to the body of a response.
#[derive(Debug, Default)]
pub(super) struct SseText(pub(super) Vec<u8>);

impl SseText {
    /// Appends a message with JSON.
    pub(super) fn message(&mut self, event: &str, id: Option<&str>, data: &impl Serialize) {
        let json = serde_json::to_vec(data);
        debug_assert!(json.is_ok(), "events and notices serialise");
        let Ok(json) = json else { return };
        self.field("event", event);
        if let Some(id) = id {
            self.field("id", id);
        }
        self.data(&json);
        self.end();
    }

    /// Appends the id alone: a client remembers it, and no message appears.
    pub(super) fn cursor(&mut self, cursor: &FeedCursor) {
        self.field("id", &cursor.to_text());
        self.end();
    }

    /// Appends a comment, which clients ignore.
    pub(super) fn comment(&mut self, text: &str) {
        self.field("", text);
        self.end();
    }

    /// Appends the time that a client should wait before it connects again.
    pub(super) fn retry(&mut self, wait: Duration) {
        self.field("retry", &wait.as_millis().to_string());
        self.end();
    }

    fn field(&mut self, name: &str, value: &str) {
        debug_assert!(!value.contains(['\r', '\n', '\0']), "a field ends with its line");
        for part in [name, ": ", value, "\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    /// Payloads are shown as sent, and white space of JSON may have line breaks. A client joins the
    /// lines again.
    fn data(&mut self, json: &[u8]) {
        for line in json.split(|byte| matches!(byte, b'\r' | b'\n')) {
            self.0.extend_from_slice(b"data: ");
            self.0.extend_from_slice(line);
            self.0.push(b'\n');
        }
    }

    fn end(&mut self) {
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use mercurio_domain::WorkspaceId;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn message_has_the_fields_of_the_standard() {
        let mut text = SseText::default();
        text.retry(Duration::from_secs(2));
        text.message("missed", None, &serde_json::json!({"rejected": 1}));
        text.comment("heartbeat");
        let cursor = FeedCursor::oldest(WorkspaceId(1));
        text.cursor(&cursor);
        let expected = format!(
            "retry: 2000\n\nevent: missed\ndata: {{\"rejected\":1}}\n\n: heartbeat\n\nid: {}\n\n",
            cursor.to_text()
        );
        assert_eq!(String::from_utf8(text.0).unwrap(), expected);
    }

    #[test]
    fn line_breaks_of_a_payload_are_lines_of_data() {
        let raw = RawValue::from_string("{\"a\":\r\n1,\r\"b\":\n\n2}".to_owned()).unwrap();
        let mut text = SseText::default();
        text.message("accepted", Some("x"), &raw);
        let text = String::from_utf8(text.0).unwrap();
        assert!(text.starts_with("event: accepted\nid: x\ndata: {\"a\":\n"), "{text}");
        let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let json: serde_json::Value = serde_json::from_str(&lines.join("\n")).unwrap();
        assert_eq!(json, serde_json::json!({"a": 1, "b": 2}));
        assert_eq!(text.matches("\n\n").count(), 1, "only the end of the message: {text}");
    }
}

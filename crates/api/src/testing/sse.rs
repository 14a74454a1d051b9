//! A reader of server-sent events, as the standard describes it (WHATWG HTML, "Interpreting an event
//! stream").

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use serde_json::Value;

/// Longer than any message takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseMessage {
    /// The field `event`; `message` by default.
    pub event: String,
    /// The last id so far, of this message or one before.
    pub last_id: String,
    /// The lines of `data`.
    pub data: String,
}

impl SseMessage {
    /// Returns a member of the JSON in `data`; null if there is none.
    #[must_use]
    pub fn member(&self, name: &str) -> Value {
        let json: Value = serde_json::from_str(&self.data).unwrap_or_default();
        json[name].clone()
    }

    /// Returns the event and the id of the event that it shows, such as `accepted e1`.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{} {}", self.event, self.member("event_id").as_str().unwrap_or("-"))
    }
}

/// Turns bytes into messages.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    after_cr: bool,
    event: String,
    data: String,
    /// The last id, also of a message without data.
    pub last_id: String,
    /// Comments so far.
    pub comments: Vec<String>,
}

impl SseParser {
    /// Adds bytes, and returns the messages that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<SseMessage> {
        let mut messages = Vec::new();
        for byte in bytes {
            // A line ends with CR, LF or both.
            match byte {
                b'\n' if std::mem::take(&mut self.after_cr) => {}
                b'\r' | b'\n' => {
                    self.after_cr = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    messages.extend(self.end_line(&String::from_utf8_lossy(&line)));
                }
                other => {
                    self.after_cr = false;
                    self.line.push(*other);
                }
            }
        }
        messages
    }

    fn end_line(&mut self, line: &str) -> Option<SseMessage> {
        if line.is_empty() {
            let (event, mut data) =
                (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
            data.pop()?;
            let event = if event.is_empty() { "message".to_owned() } else { event };
            return Some(SseMessage { event, last_id: self.last_id.clone(), data });
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => self.comments.push(value.to_owned()),
            "event" => value.clone_into(&mut self.event),
            "data" => self.data.extend([value, "\n"]),
            "id" => value.clone_into(&mut self.last_id),
            _ => {}
        }
        None
    }
}

/// The body of a response, read message by message.
pub struct SseBody {
    body: Pin<Box<BoxBody>>,
    ready: VecDeque<SseMessage>,
    /// With the last id and the comments.
    pub parser: SseParser,
}

impl SseBody {
    pub(super) fn new(body: BoxBody) -> Self {
        Self { body: Box::pin(body), ready: VecDeque::new(), parser: SseParser::default() }
    }

    /// Waits for the next message. `None` at the end of the response.
    ///
    /// # Panics
    /// If neither comes within 30 seconds.
    pub async fn next(&mut self) -> Option<SseMessage> {
        while self.ready.is_empty() {
            let next = poll_fn(|cx| self.body.as_mut().poll_next(cx));
            let next = tokio::time::timeout(PATIENCE, next).await.expect("a message in time");
            let bytes = next?.expect("the response goes on");
            self.ready.extend(self.parser.push(&bytes));
        }
        self.ready.pop_front()
    }

    /// Waits for some messages, and returns their summaries.
    ///
    /// # Panics
    /// If they do not come.
    pub async fn summaries(&mut self, count: usize) -> Vec<String> {
        let mut summaries = Vec::new();
        for _ in 0..count {
            summaries.push(self.next().await.expect("the response goes on").summary());
        }
        summaries
    }

    /// Reads what there is without waiting for more, and passes over it.
    ///
    /// # Panics
    /// If the response ends.
    pub async fn skip_begin(&mut self) {
        let bytes = poll_fn(|cx| self.body.as_mut().poll_next(cx)).await;
        self.ready.extend(self.parser.push(&bytes.expect("a begin").expect("a begin")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_the_standard_says() {
        let mut parser = SseParser::default();
        let text =
            ": c\r\nid: 1\n\nevent: a\rdata: x\rdata:y\r\r\ndata\n\nid:2\nretry: 5\ndata: z\n";
        // Byte by byte: a line may be split anywhere.
        let messages: Vec<_> = text.bytes().flat_map(|byte| parser.push(&[byte])).collect();
        let found: Vec<_> = messages
            .iter()
            .map(|SseMessage { event, last_id, data }| (&**event, &**last_id, &**data))
            .collect();
        assert_eq!(found, [("a", "1", "x\ny"), ("message", "1", "")]);
        assert_eq!(parser.comments, ["c"]);
        assert_eq!(parser.push(b"\n")[0].last_id, "2");
    }
}

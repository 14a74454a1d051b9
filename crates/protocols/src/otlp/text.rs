//! The text of a request: a JSON object with one member for each log record, whether the body was
//! protobuf or JSON. The same record gives the same text, and so the same id.
//!
//! A record is whole here: resource and scope are repeated in each. [`RequestText`] bounds the
//! copies.

use std::borrow::Cow;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mercurio_domain::limits::MAX_NESTING;
use mercurio_domain::verdict::FieldErrorCode;

use super::wire::NotProtobuf;

/// Maximum records with their content, the highest limit of events: further ones are only counted.
pub(super) const MAX_RECORDS: usize = 10_000;

/// Bytes of a text beyond twice its body: the room for resources and scopes.
const MAX_EXTRA_BYTES: usize = 4 * 1024 * 1024;
/// Maximum bytes of attributes and body that a log without a name keeps.
const MAX_NAMELESS_BYTES: usize = 1024;

/// Level of objects and arrays inside `properties`.
pub(super) const PROPERTY_LEVEL: usize = 1;

/// Level of objects and arrays inside `context.otlp.resource.attributes`.
pub(super) const RESOURCE_LEVEL: usize = 4;

/// Why a record is refused without a look at its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A field is not as OTLP has it.
    Malformed(&'static str),
    /// A value has too many levels.
    TooDeep(&'static str),
    /// The text of the request is at its limit.
    TooMuch,
}

impl Refusal {
    /// Returns the code and the message of the error.
    pub(super) fn error(self) -> (FieldErrorCode, Cow<'static, str>) {
        match self {
            Self::Malformed(field) => {
                let message = format!("{field} of the log record is not as OTLP defines it");
                (FieldErrorCode::WrongType, message.into())
            }
            Self::TooDeep(field) => {
                let message = format!(
                    "{field} of the log record has too many levels; the limit is {MAX_NESTING}"
                );
                (FieldErrorCode::TooDeep, message.into())
            }
            Self::TooMuch => {
                let message = "each event keeps a copy of its resource and scope, and those of this request are \
                               too large together; export fewer log records in a request";
                (FieldErrorCode::EventTooLarge, message.into())
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooDeep(_) => "too_deep",
            Self::TooMuch => "too_much",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Malformed(field) | Self::TooDeep(field) => field,
            Self::TooMuch => "",
        }
    }

    /// Returns the refusal in a text of [`RequestText`].
    pub(super) fn from_text(name: &str, field: &str) -> Self {
        let fields = [
            "resource",
            "scope",
            "body",
            "attributes",
            "eventName",
            "timeUnixNano",
            "observedTimeUnixNano",
        ];
        let field = fields.into_iter().find(|known| *known == field).unwrap_or("a field");
        match name {
            "too_deep" => Self::TooDeep(field),
            "too_much" => Self::TooMuch,
            _ => Self::Malformed(field),
        }
    }
}

/// Why a value or an attribute is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    Malformed,
    TooDeep,
}

impl From<NotProtobuf> for Problem {
    fn from(_: NotProtobuf) -> Self {
        Self::Malformed
    }
}

impl Problem {
    /// Returns the refusal of a record with the problem in this field.
    pub(super) fn of(self, field: &'static str) -> Refusal {
        match self {
            Self::Malformed => Refusal::Malformed(field),
            Self::TooDeep => Refusal::TooDeep(field),
        }
    }
}

/// Attributes as the members of a JSON object.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// The members, separated by commas.
    pub(super) members: Vec<u8>,
    /// Whether one has the name `body`.
    pub(super) has_body: bool,
}

/// A log record. Numbers are 0 and texts are empty if they are left out.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) event_name: Cow<'a, str>,
    /// Nanoseconds.
    pub(super) time: u64,
    /// Nanoseconds.
    pub(super) observed_time: u64,
    pub(super) severity_number: i32,
    pub(super) severity_text: Cow<'a, str>,
    /// JSON; empty without a body.
    pub(super) body: Vec<u8>,
    pub(super) attributes: Attributes,
    pub(super) dropped_attributes: u32,
    pub(super) flags: u32,
    /// In hexadecimal digits.
    pub(super) trace_id: Cow<'a, str>,
    /// In hexadecimal digits.
    pub(super) span_id: Cow<'a, str>,
}

impl Record<'_> {
    /// Returns the attributes, and the body if none has its name.
    fn properties(&self) -> Members {
        let mut properties = Members(self.attributes.members.clone());
        if !self.attributes.has_body {
            properties.json("body", &self.body);
        }
        properties
    }
}

/// A resource or a scope as the members of a JSON object, or the refusal of its records.
pub(super) type Surroundings = Result<Vec<u8>, Refusal>;

/// A resource, or a scope with its name. What is empty is left out.
#[derive(Debug, Default)]
pub(super) struct Around<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) version: Cow<'a, str>,
    pub(super) schema_url: Cow<'a, str>,
    pub(super) attributes: Attributes,
    pub(super) dropped_attributes: u32,
}

impl Around<'_> {
    /// Returns the members of a JSON object.
    pub(super) fn members(&self) -> Vec<u8> {
        let mut members = Members::default();
        members.text("name", &self.name);
        members.text("version", &self.version);
        members.text("schemaUrl", &self.schema_url);
        members.object("attributes", &self.attributes.members);
        members.number("droppedAttributesCount", self.dropped_attributes.into());
        members.0
    }
}

/// The text of a request, as it grows.
pub(super) struct RequestText {
    text: Vec<u8>,
    records: usize,
    max_bytes: usize,
}

impl RequestText {
    /// Starts the text of a body of this many bytes.
    pub(super) fn new(body_bytes: usize) -> Self {
        let mut text = Vec::with_capacity(body_bytes);
        text.extend_from_slice(b"{\"logRecords\":[");
        Self { text, records: 0, max_bytes: body_bytes.saturating_mul(2) + MAX_EXTRA_BYTES }
    }

    /// Adds a record.
    pub(super) fn add(
        &mut self,
        record: Result<Record<'_>, Refusal>,
        resource: &Surroundings,
        scope: &Surroundings,
    ) {
        if self.records == MAX_RECORDS {
            return self.count(1);
        }
        self.records += 1;
        let start = self.text.len();
        let written = record.and_then(|record| self.write(&record, resource, scope));
        let is_within = self.text.len() <= self.max_bytes;
        let refusal = written.err().or((!is_within).then_some(Refusal::TooMuch));
        if let Some(refusal) = refusal {
            self.text.truncate(start);
            let mut members = Members::default();
            members.text("refused", refusal.name());
            members.text("field", refusal.field());
            push_object(&mut self.text, &members.0);
        }
        self.text.push(b',');
    }

    /// Adds records beyond the limit of any request.
    pub(super) fn count(&mut self, records: usize) {
        for _ in 0..records {
            self.text.extend_from_slice(b"{},");
        }
    }

    fn write(
        &mut self,
        record: &Record<'_>,
        resource: &Surroundings,
        scope: &Surroundings,
    ) -> Result<(), Refusal> {
        let own = record.attributes.members.len() + record.body.len();
        // A log without a name is no event. A short one is kept, so that its sender recognises it.
        if record.event_name.is_empty() {
            let mut event = Members::default();
            if own <= MAX_NAMELESS_BYTES && self.text.len() + own <= self.max_bytes {
                event.object("properties", &record.properties().0);
            }
            push_object(&mut self.text, &event.0);
            return Ok(());
        }
        let (resource, scope) = (resource.as_ref(), scope.as_ref());
        let (resource, scope) = (resource.map_err(|error| *error)?, scope.map_err(|error| *error)?);
        // Before any copy: thousands of large ones would take seconds, and JSON writes a control
        // character in six bytes.
        if self.text.len() + resource.len() + scope.len() + own > self.max_bytes {
            return Err(Refusal::TooMuch);
        }
        let mut event = Members::default();
        event.text("eventName", &record.event_name);
        let time_name = if record.time == 0 { "observedTimeUnixNano" } else { "timeUnixNano" };
        let time = if record.time == 0 { record.observed_time } else { record.time };
        event.digits(time_name, time);
        event.object("properties", &record.properties().0);
        let mut otlp = Members::default();
        otlp.object("resource", resource);
        otlp.object("scope", scope);
        if record.time != 0 {
            otlp.digits("observedTimeUnixNano", record.observed_time);
        }
        otlp.number("severityNumber", record.severity_number.into());
        otlp.text("severityText", &record.severity_text);
        if record.attributes.has_body {
            otlp.json("body", &record.body);
        }
        otlp.number("droppedAttributesCount", record.dropped_attributes.into());
        otlp.number("flags", record.flags.into());
        otlp.text("traceId", &record.trace_id);
        otlp.text("spanId", &record.span_id);
        let mut context = Members::default();
        context.object("otlp", &otlp.0);
        event.object("context", &context.0);
        push_object(&mut self.text, &event.0);
        Ok(())
    }

    /// Returns the text.
    pub(super) fn finish(mut self) -> Vec<u8> {
        // The comma after the last record.
        if self.text.last() == Some(&b',') {
            self.text.pop();
        }
        self.text.extend_from_slice(b"]}");
        // It grew by doubling, and is held until its events are stored.
        self.text.shrink_to_fit();
        self.text
    }
}

fn push_object(text: &mut Vec<u8>, members: &[u8]) {
    text.push(b'{');
    text.extend_from_slice(members);
    text.push(b'}');
}

/// The members of a JSON object, separated by commas. Adds nothing empty.
#[derive(Default)]
struct Members(Vec<u8>);

impl Members {
    fn name(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push(b',');
        }
        push_text(&mut self.0, name);
        self.0.push(b':');
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.name(name);
            push_text(&mut self.0, text);
        }
    }

    fn number(&mut self, name: &str, number: i64) {
        if number != 0 {
            self.name(name);
            push_int(&mut self.0, number);
        }
    }

    /// A number as a text: JSON's have no 64 bits everywhere.
    fn digits(&mut self, name: &str, number: u64) {
        if number != 0 {
            self.text(name, &number.to_string());
        }
    }

    fn json(&mut self, name: &str, json: &[u8]) {
        if !json.is_empty() {
            self.name(name);
            self.0.extend_from_slice(json);
        }
    }

    fn object(&mut self, name: &str, members: &[u8]) {
        if !members.is_empty() {
            self.name(name);
            push_object(&mut self.0, members);
        }
    }
}

/// Adds a JSON string.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    let written = serde_json::to_writer(out, text);
    debug_assert!(written.is_ok(), "a vector takes every text");
}

/// Adds a whole number.
pub(super) fn push_int(out: &mut Vec<u8>, number: i64) {
    let written = write!(out, "{number}");
    debug_assert!(written.is_ok(), "a vector takes every number");
}

/// Adds bytes as a text in Base64.
pub(super) fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    push_text(out, &STANDARD.encode(bytes));
}

/// Adds a double. JSON has no NaN and no infinity: they become texts, as in OTLP's JSON.
pub(super) fn push_double(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        let written = serde_json::to_writer(out, &number);
        debug_assert!(written.is_ok(), "a vector takes every number");
    } else {
        push_text(out, non_finite(number));
    }
}

fn non_finite(number: f64) -> &'static str {
    match number {
        _ if number.is_nan() => "NaN",
        _ if number > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

//! A request in OTLP's JSON: ids in hexadecimal digits, integers of 64 bits as texts.
//!
//! Members have their names in camelCase. snake_case is accepted too: ignored as an unknown member,
//! it would lose its records without a word.

use std::borrow::Cow;
use std::str::FromStr;

use mercurio_domain::payload::{read_items, text_of, type_of};
use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::FieldErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json_values;
use super::text::{
    self, Attributes, MAX_RECORDS, PROPERTY_LEVEL, RESOURCE_LEVEL, Record, Refusal, RequestText,
    Surroundings,
};
use crate::envelope::shape;

/// The byte order mark: some clients cannot omit it.
const BOM: &[u8] = "\u{FEFF}".as_bytes();

/// A value for later; `None` for null.
type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ExportRequest<'a> {
    #[serde(borrow, alias = "resource_logs")]
    resource_logs: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ResourceLogs<'a> {
    #[serde(borrow)]
    resource: Raw<'a>,
    #[serde(borrow, alias = "scope_logs")]
    scope_logs: Raw<'a>,
    #[serde(borrow, alias = "schema_url")]
    schema_url: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ScopeLogs<'a> {
    #[serde(borrow)]
    scope: Raw<'a>,
    #[serde(borrow, alias = "log_records")]
    log_records: Raw<'a>,
    #[serde(borrow, alias = "schema_url")]
    schema_url: Raw<'a>,
}

/// A resource or a scope.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Around<'a> {
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    version: Raw<'a>,
    #[serde(borrow)]
    attributes: Raw<'a>,
    #[serde(borrow, alias = "dropped_attributes_count")]
    dropped_attributes_count: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct LogRecord<'a> {
    #[serde(borrow, alias = "time_unix_nano")]
    time_unix_nano: Raw<'a>,
    #[serde(borrow, alias = "observed_time_unix_nano")]
    observed_time_unix_nano: Raw<'a>,
    #[serde(borrow, alias = "severity_number")]
    severity_number: Raw<'a>,
    #[serde(borrow, alias = "severity_text")]
    severity_text: Raw<'a>,
    #[serde(borrow)]
    body: Raw<'a>,
    #[serde(borrow)]
    attributes: Raw<'a>,
    #[serde(borrow, alias = "dropped_attributes_count")]
    dropped_attributes_count: Raw<'a>,
    #[serde(borrow)]
    flags: Raw<'a>,
    #[serde(borrow, alias = "trace_id")]
    trace_id: Raw<'a>,
    #[serde(borrow, alias = "span_id")]
    span_id: Raw<'a>,
    #[serde(borrow, alias = "event_name")]
    event_name: Raw<'a>,
}

/// Adds the records of a body.
///
/// # Errors
/// [`ParseError`] for a body that is not JSON, or not a request.
pub(super) fn read(body: &[u8], text: &mut RequestText) -> Result<(), ParseError> {
    // The whole syntax first: an error in it is the only one.
    let body: &RawValue = serde_json::from_slice(body.strip_prefix(BOM).unwrap_or(body))?;
    let request: ExportRequest<'_> = object(body.get(), "")?;
    for (index, item) in list(request.resource_logs, "", "resourceLogs")?.iter().enumerate() {
        read_resource_logs(item, &format!("/resourceLogs/{index}"), text)?;
    }
    Ok(())
}

fn read_resource_logs(json: &str, pointer: &str, text: &mut RequestText) -> Result<(), ParseError> {
    let logs: ResourceLogs<'_> = object(json, pointer)?;
    let resource = surroundings_of(logs.resource, logs.schema_url, "resource");
    for (index, item) in list(logs.scope_logs, pointer, "scopeLogs")?.iter().enumerate() {
        let pointer = format!("{pointer}/scopeLogs/{index}");
        let logs: ScopeLogs<'_> = object(item, &pointer)?;
        let scope = surroundings_of(logs.scope, logs.schema_url, "scope");
        let Some(records) = logs.log_records else { continue };
        let Ok(records) = read_items(records.get(), MAX_RECORDS) else {
            return Err(not_a_list(records.get(), &pointer, "logRecords"));
        };
        for record in &records.first {
            text.add(read_record(record), &resource, &scope);
        }
        text.count(records.count - records.first.len());
    }
    Ok(())
}

/// Reads an object whose members are all raw: it fails for another type and a repeated member.
fn object<'a, T: Deserialize<'a>>(json: &'a str, pointer: &str) -> Result<T, ParseError> {
    if !json.starts_with('{') {
        let name = pointer.strip_prefix('/').unwrap_or("the body");
        let message = format!("{name} is {}; an object is expected", type_of(json));
        return Err(shape(pointer, FieldErrorCode::WrongType, message));
    }
    serde_json::from_str(json).map_err(|_| {
        let message = "a member appears twice, or its name is not a text";
        shape(pointer, FieldErrorCode::DuplicateField, message.to_owned())
    })
}

/// Returns the items of a list.
fn list<'a>(json: Raw<'a>, pointer: &str, name: &str) -> Result<Vec<&'a str>, ParseError> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let Ok(items) = read_items(json.get(), MAX_RECORDS) else {
        return Err(not_a_list(json.get(), pointer, name));
    };
    if items.count > MAX_RECORDS {
        return Err(ParseError::BatchTooLarge { limit: MAX_RECORDS, actual: items.count });
    }
    Ok(items.first)
}

fn not_a_list(json: &str, pointer: &str, name: &str) -> ParseError {
    let message = format!("{name} is {}; an array is expected", type_of(json));
    shape(&format!("{pointer}/{name}"), FieldErrorCode::WrongType, message)
}

fn surroundings_of(json: Raw<'_>, schema_url: Raw<'_>, name: &'static str) -> Surroundings {
    let around: Around<'_> = match json {
        Some(json) => fields(json.get()).ok_or(Refusal::Malformed(name))?,
        None => Around::default(),
    };
    let malformed = Refusal::Malformed(name);
    let mut read = text::Around {
        schema_url: text(schema_url).ok_or(malformed)?,
        attributes: attributes(around.attributes, RESOURCE_LEVEL, name)?,
        dropped_attributes: integer(around.dropped_attributes_count).ok_or(malformed)?,
        ..text::Around::default()
    };
    // A resource has neither name nor version.
    if name == "scope" {
        read.name = text(around.name).ok_or(malformed)?;
        read.version = text(around.version).ok_or(malformed)?;
    }
    Ok(read.members())
}

fn read_record(json: &str) -> Result<Record<'_>, Refusal> {
    let record: LogRecord<'_> = fields(json).ok_or(Refusal::Malformed("a field"))?;
    let malformed = Refusal::Malformed("a field");
    let body = record.body.map(|json| json_values::body(json.get())).transpose();
    Ok(Record {
        event_name: text(record.event_name).ok_or(Refusal::Malformed("eventName"))?,
        time: integer(record.time_unix_nano).ok_or(Refusal::Malformed("timeUnixNano"))?,
        observed_time: integer(record.observed_time_unix_nano)
            .ok_or(Refusal::Malformed("observedTimeUnixNano"))?,
        severity_number: integer(record.severity_number).ok_or(malformed)?,
        severity_text: text(record.severity_text).ok_or(malformed)?,
        body: body.map_err(|problem| problem.of("body"))?.unwrap_or_default(),
        attributes: attributes(record.attributes, PROPERTY_LEVEL, "attributes")?,
        dropped_attributes: integer(record.dropped_attributes_count).ok_or(malformed)?,
        flags: integer(record.flags).ok_or(malformed)?,
        trace_id: text(record.trace_id).map(id).ok_or(malformed)?,
        span_id: text(record.span_id).map(id).ok_or(malformed)?,
    })
}

/// Reads an object whose members are all raw.
fn fields<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    json.starts_with('{').then(|| serde_json::from_str(json).ok())?
}

fn attributes(json: Raw<'_>, level: usize, name: &'static str) -> Result<Attributes, Refusal> {
    let Some(json) = json else { return Ok(Attributes::default()) };
    json_values::attributes(json.get(), level).map_err(|problem| problem.of(name))
}

/// Returns a text, empty if it is left out.
fn text(json: Raw<'_>) -> Option<Cow<'_, str>> {
    let Some(json) = json else { return Some(Cow::Borrowed("")) };
    text_of(json.get()).ok()
}

/// Returns an integer, as a number or a text; 0 if it is left out.
fn integer<T: FromStr + Default>(json: Raw<'_>) -> Option<T> {
    let Some(json) = json else { return Some(T::default()) };
    json.get().trim_matches('"').parse().ok()
}

/// Returns an id as protobuf has it: in lower case, and empty for one of zeros.
fn id(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte == b'0') {
        return Cow::Borrowed("");
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return text.to_ascii_lowercase().into();
    }
    text
}

//! A request in protobuf: `ExportLogsServiceRequest`, read field by field.
//!
//! A record with an error is refused alone. Only a body whose messages have no end is refused whole.

use data_encoding::HEXLOWER;
use mercurio_domain::limits::MAX_NESTING;
use mercurio_domain::request::ParseError;
use mercurio_domain::verdict::FieldErrorCode;

use super::text::{
    Around, Attributes, PROPERTY_LEVEL, Problem, RESOURCE_LEVEL, Record, Refusal, RequestText,
    Surroundings, push_base64, push_double, push_int, push_text,
};
use super::wire::{Fields, Messages, NotProtobuf, Wire};
use crate::envelope::shape;

/// Adds the records of a body.
///
/// # Errors
/// [`ParseError`] for a body that is not protobuf.
pub(super) fn read(body: &[u8], text: &mut RequestText) -> Result<(), ParseError> {
    read_request(body, text).map_err(|NotProtobuf| {
        let message = "the body is not an ExportLogsServiceRequest in protobuf";
        shape("", FieldErrorCode::WrongType, message.to_owned())
    })
}

fn read_request(body: &[u8], text: &mut RequestText) -> Result<(), NotProtobuf> {
    for resource_logs in Messages::of(body, 1) {
        let resource_logs = resource_logs?;
        let resource = around(resource_logs, "resource", read_resource)?;
        for scope_logs in Messages::of(resource_logs, 2) {
            let scope_logs = scope_logs?;
            let scope = around(scope_logs, "scope", read_scope)?;
            for record in Messages::of(scope_logs, 2) {
                text.add(read_record(record?), &resource, &scope);
            }
        }
    }
    Ok(())
}

/// Reads the resource of `ResourceLogs`, or the scope of `ScopeLogs`: both have it in field 1, and
/// the URL of its schema in field 3.
fn around<'a>(
    message: &'a [u8],
    name: &'static str,
    read: fn(&'a [u8], &mut Around<'a>) -> Result<(), Problem>,
) -> Result<Surroundings, NotProtobuf> {
    let (mut inner, mut around) = (&[][..], Around::default());
    for field in Fields::of(message) {
        let field = field?;
        match field.number {
            1 => inner = field.wire.bytes()?,
            3 => around.schema_url = field.wire.text()?.into(),
            _ => {}
        }
    }
    let read = read(inner, &mut around).map_err(|problem| problem.of(name));
    Ok(read.map(|()| around.members()))
}

fn read_resource<'a>(message: &'a [u8], around: &mut Around<'a>) -> Result<(), Problem> {
    for field in Fields::of(message) {
        let field = field?;
        match field.number {
            1 => push_attribute(&mut around.attributes, field.wire.bytes()?, RESOURCE_LEVEL)?,
            2 => around.dropped_attributes = field.wire.varint()? as u32,
            _ => {}
        }
    }
    Ok(())
}

fn read_scope<'a>(message: &'a [u8], around: &mut Around<'a>) -> Result<(), Problem> {
    for field in Fields::of(message) {
        let field = field?;
        match field.number {
            1 => around.name = field.wire.text()?.into(),
            2 => around.version = field.wire.text()?.into(),
            3 => push_attribute(&mut around.attributes, field.wire.bytes()?, RESOURCE_LEVEL)?,
            4 => around.dropped_attributes = field.wire.varint()? as u32,
            _ => {}
        }
    }
    Ok(())
}

fn read_record(message: &[u8]) -> Result<Record<'_>, Refusal> {
    let mut record = Record::default();
    for field in Fields::of(message) {
        let field = field.map_err(|_| Refusal::Malformed("a field"))?;
        let added = add_field(&mut record, field.number, field.wire);
        added.map_err(|problem| problem.of(name_of(field.number)))?;
    }
    Ok(record)
}

fn name_of(number: u64) -> &'static str {
    match number {
        5 => "body",
        6 => "attributes",
        _ => "a field",
    }
}

fn add_field<'a>(record: &mut Record<'a>, number: u64, wire: Wire<'a>) -> Result<(), Problem> {
    // Integers of 32 bits are cut as every decoder of protobuf cuts them.
    match number {
        1 => record.time = wire.fixed64()?,
        2 => record.severity_number = wire.varint()? as i32,
        3 => record.severity_text = wire.text()?.into(),
        5 => {
            record.body.clear();
            push_value(&mut record.body, wire.bytes()?, PROPERTY_LEVEL)?;
            if record.body == b"null" {
                record.body.clear();
            }
        }
        6 => push_attribute(&mut record.attributes, wire.bytes()?, PROPERTY_LEVEL)?,
        7 => record.dropped_attributes = wire.varint()? as u32,
        8 => record.flags = wire.fixed32()?,
        9 => record.trace_id = id(wire.bytes()?).into(),
        10 => record.span_id = id(wire.bytes()?).into(),
        11 => record.observed_time = wire.fixed64()?,
        12 => record.event_name = wire.text()?.into(),
        _ => {}
    }
    Ok(())
}

/// Returns an id in hexadecimal digits; empty for one of zeros, the same as none.
fn id(bytes: &[u8]) -> String {
    if bytes.iter().all(|byte| *byte == 0) { String::new() } else { HEXLOWER.encode(bytes) }
}

fn push_attribute(attributes: &mut Attributes, pair: &[u8], level: usize) -> Result<(), Problem> {
    let key = push_pair(&mut attributes.members, pair, level)?;
    attributes.has_body |= key == "body";
    Ok(())
}

/// Adds a `KeyValue` as a member of an object. Returns its name.
fn push_pair<'a>(out: &mut Vec<u8>, pair: &'a [u8], level: usize) -> Result<&'a str, Problem> {
    let (mut key, mut value) = ("", &[][..]);
    for field in Fields::of(pair) {
        let field = field?;
        match field.number {
            1 => key = field.wire.text()?,
            2 => value = field.wire.bytes()?,
            _ => {}
        }
    }
    if !out.is_empty() && out.last() != Some(&b'{') {
        out.push(b',');
    }
    push_text(out, key);
    out.push(b':');
    push_value(out, value, level)?;
    Ok(key)
}

/// Adds an `AnyValue`, whose last field counts. `level` is that of the object around it.
fn push_value(out: &mut Vec<u8>, value: &[u8], level: usize) -> Result<(), Problem> {
    let mut last = None;
    for field in Fields::of(value) {
        let field = field?;
        if (1..=7).contains(&field.number) {
            last = Some(field);
        }
    }
    let Some(field) = last else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    match field.number {
        1 => push_text(out, field.wire.text()?),
        2 => out.extend_from_slice(if field.wire.varint()? == 0 { b"false" } else { b"true" }),
        3 => push_int(out, field.wire.varint()? as i64),
        4 => push_double(out, f64::from_bits(field.wire.fixed64()?)),
        7 => push_base64(out, field.wire.bytes()?),
        _ if level >= MAX_NESTING => return Err(Problem::TooDeep),
        5 => push_array(out, field.wire.bytes()?, level + 1)?,
        _ => push_list(out, field.wire.bytes()?, level + 1)?,
    }
    Ok(())
}

fn push_array(out: &mut Vec<u8>, array: &[u8], level: usize) -> Result<(), Problem> {
    out.push(b'[');
    for (index, value) in Messages::of(array, 1).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_value(out, value?, level)?;
    }
    out.push(b']');
    Ok(())
}

fn push_list(out: &mut Vec<u8>, list: &[u8], level: usize) -> Result<(), Problem> {
    out.push(b'{');
    for pair in Messages::of(list, 1) {
        push_pair(out, pair?, level)?;
    }
    out.push(b'}');
    Ok(())
}

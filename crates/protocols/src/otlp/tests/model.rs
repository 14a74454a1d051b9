//! Requests as other programs write them: in protobuf by `prost`, in JSON by hand.

use data_encoding::{BASE64, HEXUPPER};
use proptest::prelude::*;
use prost::{Message, Oneof};
use serde_json::{Value, json};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_logs: Vec<ScopeLogs>,
    #[prost(string, tag = "3")]
    pub(super) schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "2")]
    pub(super) dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    pub(super) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(super) log_records: Vec<LogRecord>,
    #[prost(string, tag = "3")]
    pub(super) schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Scope {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub(super) time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    pub(super) severity_number: i32,
    #[prost(string, tag = "3")]
    pub(super) severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub(super) body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "7")]
    pub(super) dropped_attributes_count: u32,
    #[prost(fixed32, tag = "8")]
    pub(super) flags: u32,
    #[prost(bytes, tag = "9")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes, tag = "10")]
    pub(super) span_id: Vec<u8>,
    #[prost(fixed64, tag = "11")]
    pub(super) observed_time_unix_nano: u64,
    #[prost(string, tag = "12")]
    pub(super) event_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) value: Option<Any>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Any {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[prost(message, tag = "6")]
    List(KeyValueList),
    #[prost(bytes, tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<KeyValue>,
}

pub(super) fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::String(value.to_owned()))
}

/// Returns a request with these records, of one service.
pub(super) fn request(log_records: Vec<LogRecord>) -> Request {
    let attributes = vec![text("telemetry.sdk.language", "python"), text("service.name", "shop")];
    let scope = Scope { name: "checkout".to_owned(), ..Scope::default() };
    let scope_logs = ScopeLogs { scope: Some(scope), log_records, ..ScopeLogs::default() };
    let resource = Resource { attributes, ..Resource::default() };
    let logs = ResourceLogs {
        resource: Some(resource),
        scope_logs: vec![scope_logs],
        ..ResourceLogs::default()
    };
    Request { resource_logs: vec![logs] }
}

impl Request {
    pub(super) fn protobuf(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    pub(super) fn json(&self) -> Value {
        json!({"resourceLogs": self.resource_logs.iter().map(|logs| json!({
            "scopeLogs": logs.scope_logs.iter().map(|logs| json!({
                "logRecords": logs.log_records.iter().map(LogRecord::json).collect::<Vec<_>>(),
                "scope": logs.scope.as_ref().map(|scope| json!({
                    "name": scope.name, "version": scope.version,
                    "attributes": pairs(&scope.attributes),
                })),
                "schemaUrl": logs.schema_url,
            })).collect::<Vec<_>>(),
            "resource": logs.resource.as_ref().map(|resource| json!({
                "attributes": pairs(&resource.attributes),
                "droppedAttributesCount": resource.dropped_attributes_count,
            })),
            "schemaUrl": logs.schema_url,
        })).collect::<Vec<_>>()})
    }
}

impl LogRecord {
    fn json(&self) -> Value {
        json!({
            "timeUnixNano": self.time_unix_nano.to_string(),
            "observedTimeUnixNano": self.observed_time_unix_nano.to_string(),
            "severityNumber": self.severity_number,
            "severityText": self.severity_text,
            "body": self.body.as_ref().map(AnyValue::json),
            "attributes": pairs(&self.attributes),
            "droppedAttributesCount": self.dropped_attributes_count,
            "flags": self.flags,
            "traceId": HEXUPPER.encode(&self.trace_id),
            "spanId": HEXUPPER.encode(&self.span_id),
            "eventName": self.event_name,
            "unknown": [{}],
        })
    }
}

fn pairs(pairs: &[KeyValue]) -> Value {
    let pair = |pair: &KeyValue| json!({"value": pair.value.as_ref().map(AnyValue::json), "key": pair.key});
    pairs.iter().map(pair).collect()
}

impl AnyValue {
    fn json(&self) -> Value {
        match &self.value {
            None => json!({}),
            Some(Any::String(text)) => json!({"stringValue": text}),
            Some(Any::Bool(value)) => json!({"boolValue": value}),
            Some(Any::Int(value)) => json!({"intValue": value.to_string()}),
            Some(Any::Double(value)) if value.is_finite() => json!({"doubleValue": value}),
            Some(Any::Double(value)) => {
                json!({"doubleValue": value.to_string().replace("inf", "Infinity")})
            }
            Some(Any::Bytes(value)) => json!({"bytesValue": BASE64.encode(value)}),
            Some(Any::Array(array)) => {
                let values: Vec<_> = array.values.iter().map(Self::json).collect();
                json!({"arrayValue": {"values": values}})
            }
            Some(Any::List(list)) => json!({"kvlistValue": {"values": pairs(&list.values)}}),
        }
    }
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Any::String),
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(Any::Int),
        any::<f64>().prop_map(Any::Double),
        any::<Vec<u8>>().prop_map(Any::Bytes),
    ];
    let leaf = prop::option::of(leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 16, 4, |inner| {
        let values = prop::collection::vec(inner.clone(), 0..4);
        let pairs = prop::collection::vec((any::<String>(), prop::option::of(inner)), 0..4);
        prop_oneof![
            values.prop_map(|values| Any::Array(ArrayValue { values })),
            pairs.prop_map(|pairs| Any::List(KeyValueList { values: key_values(pairs) })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn key_values(pairs: Vec<(String, Option<AnyValue>)>) -> Vec<KeyValue> {
    pairs.into_iter().map(|pair| KeyValue { key: pair.0, value: pair.1 }).collect()
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof![any::<String>(), "body|user\\.id|session\\.id|service\\.name"];
    prop::collection::vec((key, prop::option::of(any_value())), 0..4).prop_map(key_values)
}

prop_compose! {
    fn log_record()(
        time_unix_nano in any::<u64>(),
        observed_time_unix_nano in prop_oneof![Just(0), any::<u64>()],
        severity_number in any::<i32>(),
        severity_text in any::<String>(),
        body in prop::option::of(any_value()),
        attributes in attributes(),
        dropped_attributes_count in any::<u32>(),
        flags in any::<u32>(),
        trace_id in any::<[u8; 16]>(),
        span_id in any::<Vec<u8>>(),
        event_name in any::<String>(),
    ) -> LogRecord {
        LogRecord {
            time_unix_nano, observed_time_unix_nano, severity_number, severity_text, body, attributes,
            dropped_attributes_count, flags, trace_id: trace_id.into(), span_id, event_name,
        }
    }
}

prop_compose! {
    pub(super) fn requests()(
        attributes in attributes(),
        schema_url in any::<String>(),
        name in any::<String>(),
        lists in prop::collection::vec(prop::collection::vec(log_record(), 0..3), 0..3),
    ) -> Request {
        let scope_logs = lists.into_iter().map(|log_records| ScopeLogs {
            scope: Some(Scope { name: name.clone(), attributes: attributes.clone(), ..Scope::default() }),
            log_records,
            schema_url: schema_url.clone(),
        });
        let logs = ResourceLogs {
            resource: Some(Resource { attributes: attributes.clone(), dropped_attributes_count: 1 }),
            scope_logs: scope_logs.collect(),
            schema_url: schema_url.clone(),
        };
        Request { resource_logs: vec![ResourceLogs::default(), logs] }
    }
}

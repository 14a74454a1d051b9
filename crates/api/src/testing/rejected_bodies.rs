//! A body with one rejected event in the form of each protocol.

/// A body with one rejected event, to be sent with a key in its header.
#[derive(Debug, Clone)]
pub struct RejectedBody {
    /// The protocol.
    pub protocol: &'static str,
    /// Where to POST it.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// The code of the event's only error.
    pub code: &'static str,
    /// Its pointer within the event.
    pub pointer: &'static str,
}

/// Returns a body for each protocol. The id of the user in it is too long.
#[must_use]
pub fn rejected_bodies() -> Vec<RejectedBody> {
    let id = "u".repeat(256);
    let json = "application/json";
    let bodies = [
        ("mercurio", "/v1/events/track", json, r#"{"event_name":"n","user_id":"ID"}"#, "user_id"),
        (
            "segment",
            "/v1/batch",
            json,
            r#"{"batch":[{"type":"track","event":"n","userId":"ID"}]}"#,
            "userId",
        ),
        ("jitsu", "/api/s/track", json, r#"{"event":"n","userId":"ID"}"#, "userId"),
        ("posthog", "/capture", json, r#"{"event":"n","distinct_id":"ID"}"#, "distinct_id"),
        (
            "cloudevents",
            "/v1/cloudevents",
            "application/cloudevents+json",
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"n","subject":"ID"}"#,
            "subject",
        ),
        (
            "openmeter",
            "/api/v1/events",
            "application/cloudevents+json",
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"n","subject":"ID"}"#,
            "subject",
        ),
        (
            "amplitude",
            "/2/httpapi",
            json,
            r#"{"events":[{"event_type":"n","user_id":"ID"}]}"#,
            "user_id",
        ),
        (
            "mixpanel",
            "/import",
            json,
            r#"[{"event":"n","properties":{"distinct_id":"ID","time":1795341600,"$insert_id":"i"}}]"#,
            "properties/distinct_id",
        ),
        (
            "snowplow",
            "/com.snowplowanalytics.snowplow/tp2",
            json,
            r#"{"schema":"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4","data":[{"e":"se","se_ac":"n","uid":"ID"}]}"#,
            "uid",
        ),
        (
            "otlp",
            "/v1/logs",
            json,
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"n","attributes":[{"key":"user.id","value":{"stringValue":"ID"}}]}]}]}]}"#,
            "attributes/user.id",
        ),
    ];
    let mut rejected = Vec::new();
    for (protocol, path, content_type, body, pointer) in bodies {
        let body = body.replace("ID", &id);
        rejected.push(RejectedBody {
            protocol,
            path,
            content_type,
            body,
            code: "too_long",
            pointer,
        });
    }
    rejected
}

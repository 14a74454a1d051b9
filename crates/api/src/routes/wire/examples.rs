//! Examples of requests and responses for the OpenAPI document.
//!
//! Tests send the requests, and compare the responses with real ones.

use serde_json::{Value, json};

/// Has no `timestamp`: it would be too old one day.
pub(crate) fn event() -> Value {
    json!({
        "event_id": "order-4711",
        "event_name": "order_completed",
        "user_id": "u-42",
        "session_id": "s-1",
        "properties": {"total": 129.90, "currency": "EUR"},
        "context": {"page": {"url": "https://shop.example/checkout?utm_source=newsletter"}},
    })
}

pub(crate) fn batch() -> Value {
    json!({"events": [event(), {"type": "page", "anonymous_id": "a-7"}]})
}

pub(crate) fn track_response() -> Value {
    json!({
        "event_id": "order-4711",
        "status": "accepted",
        "received_at": "2026-11-22T10:00:00.123456Z",
        "request_id": "019aa8f0-3e80-7c31-9d3e-6f0d1f3b2a10",
    })
}

pub(crate) fn batch_response() -> Value {
    json!({
        "accepted": 1, "duplicates": 2, "rejected": 1, "total": 4,
        "results": [
            {"index": 0, "event_id": "a", "status": "accepted"},
            {"index": 1, "event_id": "a", "status": "duplicate"},
            {"index": 2, "event_id": "b", "status": "duplicate", "duplicate_in": "2"},
            {"index": 3, "event_id": null, "status": "rejected", "errors": [{
                "pointer": "/events/3/event_name", "code": "required",
                "message": "event_name is required for an event of type track",
            }]},
        ],
        "received_at": "2026-11-22T10:00:00.123456Z",
        "request_id": "019aa8f0-3e80-7c31-9d3e-6f0d1f3b2a10",
    })
}

pub(crate) fn stored_event() -> Value {
    json!({
        "event_id": "order-4711",
        "type": "track",
        "event_name": "order_completed",
        "timestamp": "2026-11-22T10:00:00.123456Z",
        "sent_timestamp": null,
        "received_at": "2026-11-22T10:00:00.123456Z",
        "anonymous_id": null,
        "user_id": "u-42",
        "session_id": "s-1",
        "schema_version": "1.0.0",
        "properties": {"total": 129.90, "currency": "EUR"},
        "traits": null,
        "context": {"page": {"url": "https://shop.example/checkout?utm_source=newsletter"}},
        "enrichment": {"page": {"path": "/checkout"}, "campaign": {"source": "newsletter"}},
        "tenant_id": "1",
        "workspace_id": "1",
    })
}

pub(crate) fn event_page() -> Value {
    json!({"events": [stored_event()], "next_cursor": "AQAGRBzuHmAAAZqo8D6AfDGdPm8NHzsqEA"})
}

pub(crate) fn rejection_page() -> Value {
    json!({"rejections": [rejected_event()], "next_cursor": null})
}

fn rejected_event() -> Value {
    json!({
        "id": "019aa8f0-3e80-7c31-9d3e-6f0d1f3b2a11",
        "received_at": "2026-11-22T10:00:00.123456Z",
        "event_id": "order-4712",
        "event_name": null,
        "verdict": "rejected",
        "errors": [{
            "pointer": "/events/3/event_name", "code": "required",
            "message": "event_name is required for an event of type track",
        }],
        "event": "{\"event_id\": \"order-4712\", \"user_id\": \"u-42\"}",
        "is_cut": false,
        "request_id": "019aa8f0-3e80-7c31-9d3e-6f0d1f3b2a10",
        "api_key_id": "Vb0aM6LrV1Ng",
        "protocol": "mercurio",
        "sdk": null,
        "user_agent": "curl/8.14.1",
    })
}

pub(crate) fn rejection_summary() -> Value {
    json!({
        "from": "2026-11-21T11:00:00.000000Z",
        "to": "2026-11-22T11:00:00.000000Z",
        "rejected": 1,
        "requests": [{"code": "malformed_json", "count": 3, "last_hour": "2026-11-22T09:00:00.000000Z"}],
        "groups": [{
            "code": "required", "pointer": "/event_name", "event_name": "", "count": 1,
            "last_hour": "2026-11-22T10:00:00.000000Z", "example": rejected_event(),
        }],
    })
}

pub(crate) fn feed_page() -> Value {
    json!({"events": [stored_event()], "next": "AgAAAAAAAAABqZ2PcQABAAAAAAT8AA"})
}

pub(crate) fn health() -> Value {
    health_of("ok")
}

pub(crate) fn health_unavailable() -> Value {
    health_of("unavailable")
}

fn health_of(status: &str) -> Value {
    json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": 2,
        "checks": {
            "database": {"status": status, "backend": "sqlite", "latency_ms": 0.482},
            "writer": {"status": status, "queue_depth": 0, "queue_capacity": 50_000},
        },
        "system": {"memory_bytes": 44_175_360, "cpu_count": 2, "open_connections": 1},
        "summary": {
            "events": {"accepted": 1, "duplicates": 0, "rejected": 0},
            "groups": {"committed": 1, "events": 1, "largest": 1, "fallbacks": 0},
            "refused": {"keys_malformed": 0, "keys_invalid": 0, "rate_limited": 0, "quota_exceeded": 0},
            "request_ms": {"p50": 4.588, "p95": 11.272, "p99": 11.272},
        },
    })
}

pub(crate) fn limits() -> Value {
    json!({
        "limits": {
            "max_body_bytes": 262_144, "max_batch_events": 50, "max_event_bytes": 32_768, "max_event_age_days": 365,
            "max_event_future_seconds": 300, "events_per_second": 500, "events_burst": 0,
            "requests_per_second": 0, "requests_burst": 0, "reads_per_second": 20, "reads_burst": 0,
            "max_concurrent_reads": 4, "monthly_events": 1_000_000, "retention_days": 0,
        },
        "remaining": {
            "requests": null,
            "events": {"remaining": 4990, "burst": 5000, "reset_seconds": 1},
            "reads": {"remaining": 200, "burst": 200, "reset_seconds": 0},
            "monthly_events": {
                "remaining": 999_980, "used": 20, "limit": 1_000_000, "renews_at": "2026-12-01T00:00:00.000000Z",
                "reset_seconds": 741_600,
            },
        },
    })
}

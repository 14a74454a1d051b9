//! The keys of log lines: `info!(log, "listening"; keys::ADDR => addr)`.
//!
//! [`crate::logging::logger`] enforces these rules:
//! - `ts`, `level` and `msg` belong to the line itself. Values with these names are dropped.
//! - A key appears once in a line; slog-json alone would repeat it. The innermost value wins: the
//!   record's before its logger's, a child logger's before its parent's.
//! - A key with the value `None` is omitted.
//! - The order of keys after `msg` has no meaning.
//!
//! `docs/LOGGING.md` explains every key; a test compares it with [`ALL`].

// One list makes the constants and `ALL`, so neither misses a key.
macro_rules! keys {
    ($($(#[$doc:meta])+ $name:ident = $text:literal;)+) => {
        $($(#[$doc])+ pub const $name: &str = $text;)+
        /// Every key of this module.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

keys! {
    /// Time of the record, not of the write: RFC 3339, UTC, microseconds.
    TS = "ts";
    /// `trace`, `debug`, `info`, `warning`, `error` or `critical`.
    LEVEL = "level";
    /// The message: a constant text. Variable parts have their own keys.
    MSG = "msg";
    /// The `X-Request-Id` of the response.
    REQUEST_ID = "request_id";
    /// W3C trace id of the caller's `traceparent`, or of the request's own trace.
    TRACE_ID = "trace_id";
    /// Tenant id.
    TENANT_ID = "tenant_id";
    /// Workspace id.
    WORKSPACE_ID = "workspace_id";
    /// Public id of the API key, never the key.
    KEY_ID = "key_id";
    /// HTTP method.
    METHOD = "method";
    /// Route pattern, never the path.
    ROUTE = "route";
    /// HTTP status of the response.
    STATUS = "status";
    /// Events in the request.
    EVENTS = "events";
    /// Events stored.
    ACCEPTED = "accepted";
    /// Events stored before.
    DUPLICATES = "duplicates";
    /// Events refused.
    REJECTED = "rejected";
    /// Body size after decompression, in bytes.
    BODY_BYTES = "body_bytes";
    /// Duration in milliseconds, with microsecond precision.
    DURATION_MS = "duration_ms";
    /// Duration of authentication. This and the next five: milliseconds, with microsecond
    /// precision.
    AUTH_MS = "auth_ms";
    /// Duration of receiving and decompressing the body.
    RECEIVE_MS = "receive_ms";
    /// Duration of rate limits, parsing and validation.
    PARSE_MS = "parse_ms";
    /// Duration of enrichment.
    ENRICH_MS = "enrich_ms";
    /// Wait for the transaction.
    QUEUE_MS = "queue_ms";
    /// Duration of the transaction, until its answer arrives.
    COMMIT_MS = "commit_ms";
    /// Code of an event's first error, as in the response.
    CODE = "code";
    /// JSON pointer into the body, with `*` for every name chosen by the client.
    POINTER = "pointer";
    /// Similar lines omitted since the last one.
    NOT_LOGGED = "not_logged";
    /// Client address, as much of it as `MERCURIO_CLIENT_IP` keeps.
    CLIENT_IP = "client_ip";
    /// Why an API key was refused, or row security is not in force: a word of a fixed list.
    REASON = "reason";
    /// What to do about it, for a person.
    ADVICE = "advice";
    /// Privileges that the server's role lacks in the database.
    PRIVILEGES = "privileges";
    /// Signal name.
    SIGNAL = "signal";
    /// The new log level.
    LOG_LEVEL = "log_level";
    /// Settings in force by name, with secrets hidden.
    SETTINGS = "settings";
    /// An applied migration.
    MIGRATION = "migration";
    /// Migrations by which the schemas of database and program differ.
    MIGRATIONS = "migrations";
    /// Events in the queue.
    QUEUE_DEPTH = "queue_depth";
    /// Requests written in one group.
    SUBMISSIONS = "submissions";
    /// Event keys removed by retention.
    EVENT_KEYS = "event_keys";
    /// Retention removed the events received before this time.
    RECEIVED_BEFORE = "received_before";
    /// Servers that share the rate limits.
    SERVERS = "servers";
    /// The change in the catalog.
    CHANGE = "change";
    /// An error and its causes, `a: b: c`, from [`crate::chain`].
    ERROR = "error";
    /// Module path of the library that logged the line.
    TARGET = "target";
    /// Thread name.
    THREAD = "thread";
    /// Source position: `file:line:column`.
    LOCATION = "location";
    /// Log lines dropped since the last such line.
    DROPPED_LINES = "dropped_lines";
    /// Spans dropped since the last such line.
    DROPPED_SPANS = "dropped_spans";
    /// Version of the program.
    VERSION = "version";
    /// Git commit the program was built from.
    COMMIT = "commit";
    /// Maximum number of open files of the process.
    FILE_LIMIT = "file_limit";
    /// That number before the server raised it.
    FILE_LIMIT_BEFORE = "file_limit_before";
    /// Listen address of the server.
    ADDR = "addr";
}

/// The keys of the line itself.
pub(crate) const RESERVED: [&str; 3] = [TS, LEVEL, MSG];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn document_explains_every_key() {
        let document = include_str!("../../../../docs/LOGGING.md");
        for key in ALL {
            assert!(
                document.contains(&format!("| `{key}` |")),
                "docs/LOGGING.md has no row for {key}"
            );
        }
    }

    #[test]
    fn keys_have_different_names() {
        assert_eq!(ALL.iter().collect::<HashSet<_>>().len(), ALL.len());
    }
}

//! The keys of a log line: one name for one thing, written once.
//!
//! Used as `info!(log, "listening"; keys::ADDR => addr)`. The rules, which [`crate::logging::logger`] enforces:
//! - `ts`, `level` and `msg` belong to the line itself; a value given under one of these names is left out.
//! - No key stands twice in a line (slog-json alone would print it twice). The innermost value wins: the record's own
//!   before its logger's, a child logger's before its parent's.
//! - A key whose value is `None` is left out.
//! - The order of keys after `msg` means nothing.
//!
//! `docs/LOGGING.md` says the same for readers of logs; a test holds it against [`ALL`]. Not here: the values.

macro_rules! keys {
    ($($(#[$doc:meta])+ $name:ident = $text:literal;)+) => {
        $($(#[$doc])+ pub const $name: &str = $text;)+
        /// Every key of this module.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

keys! {
    /// When the line was logged (not when it was written): RFC 3339, UTC, microseconds.
    TS = "ts";
    /// `trace`, `debug`, `info`, `warning`, `error` or `critical`.
    LEVEL = "level";
    /// The message: a constant text; what varies stands in other keys.
    MSG = "msg";
    /// The id the response carries in `X-Request-Id`.
    REQUEST_ID = "request_id";
    /// The W3C trace id from the caller's `traceparent`.
    TRACE_ID = "trace_id";
    /// The tenant's id.
    TENANT_ID = "tenant_id";
    /// The workspace's id.
    WORKSPACE_ID = "workspace_id";
    /// The public id of the API key, never the key.
    KEY_ID = "key_id";
    /// The HTTP method.
    METHOD = "method";
    /// The pattern of the route, never the path.
    ROUTE = "route";
    /// The HTTP status of the response.
    STATUS = "status";
    /// Events in the request.
    EVENTS = "events";
    /// Events stored.
    ACCEPTED = "accepted";
    /// Events that were stored before.
    DUPLICATES = "duplicates";
    /// Events that were refused.
    REJECTED = "rejected";
    /// Size of the request's body in bytes, after decompression.
    BODY_BYTES = "body_bytes";
    /// How long it took, in milliseconds, with a fraction.
    DURATION_MS = "duration_ms";
    /// How long authentication took, in milliseconds with a fraction.
    AUTH_MS = "auth_ms";
    /// How long the body took to arrive and to be decompressed.
    RECEIVE_MS = "receive_ms";
    /// How long parsing and checking took.
    PARSE_MS = "parse_ms";
    /// How long enrichment took.
    ENRICH_MS = "enrich_ms";
    /// How long the events waited for their transaction.
    QUEUE_MS = "queue_ms";
    /// How long their transaction took, the answer's way back included.
    COMMIT_MS = "commit_ms";
    /// A stable code of what is wrong with an event.
    CODE = "code";
    /// Where in the body: a JSON pointer in which what the client named itself is `*`.
    POINTER = "pointer";
    /// Rejected events of the tenant that left no line, since the last that did.
    NOT_LOGGED = "not_logged";
    /// The client's address, as much of it as `MERCURIO_CLIENT_IP` keeps.
    CLIENT_IP = "client_ip";
    /// Why, in a word of a fixed list.
    REASON = "reason";
    /// The name of a signal.
    SIGNAL = "signal";
    /// The level of the log.
    LOG_LEVEL = "log_level";
    /// The settings in force, by name, with secrets hidden.
    SETTINGS = "settings";
    /// The name of a migration.
    MIGRATION = "migration";
    /// The migrations that the database has and the program lacks, or the other way round.
    MIGRATIONS = "migrations";
    /// Events that wait for the writer.
    QUEUE_DEPTH = "queue_depth";
    /// Requests whose events are written together.
    SUBMISSIONS = "submissions";
    /// Servers that share rate limits.
    SERVERS = "servers";
    /// What changed in the catalogue.
    CHANGE = "change";
    /// An error and its causes, `a: b: c`, from [`crate::chain`].
    ERROR = "error";
    /// The library a line comes from (its module path).
    TARGET = "target";
    /// The thread's name.
    THREAD = "thread";
    /// A place in the source, `file:line:column`.
    LOCATION = "location";
    /// Log lines lost since the last line that told a number.
    DROPPED_LINES = "dropped_lines";
    /// Spans that could not be sent since the last such line.
    DROPPED_SPANS = "dropped_spans";
    /// The version of the program.
    VERSION = "version";
    /// A socket address of the server's own.
    ADDR = "addr";
}

/// The keys of the line itself.
pub(crate) const RESERVED: [&str; 3] = [TS, LEVEL, MSG];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_document_explains_every_key() {
        let document = include_str!("../../../../docs/LOGGING.md");
        for key in ALL {
            assert!(
                document.contains(&format!("| `{key}` |")),
                "docs/LOGGING.md has no row for {key}"
            );
        }
    }

    #[test]
    fn no_two_keys_share_a_name() {
        assert_eq!(ALL.iter().collect::<HashSet<_>>().len(), ALL.len());
    }
}

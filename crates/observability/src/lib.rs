//! Logs, request context and counters.

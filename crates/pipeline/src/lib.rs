//! The way of an event: parse, validate, enrich, submit, and the group-commit writer.

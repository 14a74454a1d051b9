//! Enforces the rules of [`crate::logging::keys`] between a record and its formatter: each key once, none reserved.

use crate::logging::keys;
use slog::{KV, Key, OwnedKVList, Record, SerdeValue, Serializer};
use std::fmt;

/// The key-values of a record and its logger, each key once, innermost first.
pub(crate) struct UniqueKeys<'a> {
    pub(crate) record: &'a Record<'a>,
    pub(crate) logger_values: &'a OwnedKVList,
}

impl KV for UniqueKeys<'_> {
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        let mut first_only =
            FirstOnly { seen: [""; INLINE_KEYS], count: 0, more: Vec::new(), inner: serializer };
        // slog serializes the newest key-value first, so the first of a name is the innermost.
        self.record.kv().serialize(self.record, &mut first_only)?;
        self.logger_values.serialize(self.record, &mut first_only)
    }
}

/// Keys tracked without an allocation. A line has about 20.
const INLINE_KEYS: usize = 32;

struct FirstOnly<'a> {
    /// A linear search over so few keys is cheaper than a hash set.
    seen: [&'static str; INLINE_KEYS],
    count: usize,
    more: Vec<&'static str>,
    inner: &'a mut dyn Serializer,
}

impl FirstOnly<'_> {
    fn is_first(&mut self, key: Key) -> bool {
        let seen = |keys: &[&str]| keys.contains(&key);
        if seen(&keys::RESERVED) || seen(&self.seen[..self.count]) || seen(&self.more) {
            return false;
        }
        if let Some(slot) = self.seen.get_mut(self.count) {
            *slot = key;
            self.count += 1;
        } else {
            self.more.push(key);
        }
        true
    }
}

// slog has one method per type; each forwards the first value of a key.
macro_rules! forward_first {
    ($($method:ident: $value:ty),+ $(,)?) => {
        $(fn $method(&mut self, key: Key, value: $value) -> slog::Result {
            if self.is_first(key) { self.inner.$method(key, value) } else { Ok(()) }
        })+
    };
}

impl Serializer for FirstOnly<'_> {
    forward_first! {
        emit_usize: usize, emit_isize: isize, emit_bool: bool, emit_char: char,
        emit_u8: u8, emit_i8: i8, emit_u16: u16, emit_i16: i16, emit_u32: u32, emit_i32: i32,
        emit_u64: u64, emit_i64: i64, emit_u128: u128, emit_i128: i128, emit_f32: f32, emit_f64: f64,
        emit_str: &str, emit_serde: &dyn SerdeValue,
    }

    /// Formats before passing on: slog-json formats into a shared buffer, and a value may log while it is formatted.
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        if self.is_first(key) { self.inner.emit_str(key, &value.to_string()) } else { Ok(()) }
    }

    fn emit_unit(&mut self, key: Key) -> slog::Result {
        if self.is_first(key) { self.inner.emit_unit(key) } else { Ok(()) }
    }

    /// Omits the key, and still hides an outer value of the same name.
    fn emit_none(&mut self, key: Key) -> slog::Result {
        self.is_first(key);
        Ok(())
    }
}

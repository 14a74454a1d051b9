//! A log output that tests read back as JSON lines.

// Each test binary uses a part of this module.
#![allow(dead_code, unreachable_pub)]

use mercurio_observability::{LogFormat, LogGuard, LogLevel, LogOutput, LogSettings, logger};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use slog::Logger;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};

/// The bytes of each write.
#[derive(Clone, Default)]
pub struct Output(Arc<Mutex<Vec<Vec<u8>>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn written(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().expect("no writer panicked")
    }

    pub fn writes(&self) -> usize {
        self.written().len()
    }

    pub fn each_write(&self, check: impl Fn(&[u8])) {
        for bytes in self.written().iter() {
            check(bytes);
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.written().concat()).expect("the log is UTF-8")
    }

    /// The lines with their keys in order, repeated ones included.
    pub fn lines(&self) -> Vec<Line> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is a JSON object"))
            .collect()
    }
}

/// Builds a logger and returns the output it writes to.
pub fn logger_to_output(format: LogFormat, level: LogLevel) -> (Logger, LogGuard, Output) {
    let output = Output::default();
    let (log, guard) =
        logger::build(LogSettings::new(format, level), LogOutput::Writer(Box::new(output.clone())));
    (log, guard, output)
}

/// Returns the JSON lines of `work`, from level info.
pub fn lines_of(work: impl FnOnce(&Logger)) -> Vec<Line> {
    let (log, guard, output) = logger_to_output(LogFormat::Json, LogLevel::Info);
    work(&log);
    // Dropping the guard writes every line.
    drop(guard);
    output.lines()
}

/// A JSON line with the order and repetition of its keys, which a map would hide.
#[derive(Debug, PartialEq)]
pub struct Line(pub Vec<(String, Value)>);

impl Line {
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut found = self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value);
        let value = found.next();
        assert!(found.next().is_none(), "{key} is repeated in {self:?}");
        value
    }

    pub fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(key, _)| key.as_str()).collect()
    }
}

impl<'de> serde::Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Line;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Line(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

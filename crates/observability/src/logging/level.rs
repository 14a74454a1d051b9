//! How much is logged and in what form: the two settings, read from text.
//!
//! Used by the configuration of a binary: `"warning".parse::<LogLevel>()`. Not here: where the text comes from.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The least important level that is still logged.
///
/// A release build has no `trace` lines in it: there, `Trace` gives what `Debug` gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something is lost or the process ends.
    Critical,
    /// Something failed that someone should look at.
    Error,
    /// Something is not as it should be, and was dealt with.
    Warning,
    /// What happens in normal operation: the default.
    #[default]
    Info,
    /// Details for finding a fault.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const ALL: [Self; 6] =
        [Self::Critical, Self::Error, Self::Warning, Self::Info, Self::Debug, Self::Trace];

    /// The level's word in settings and in log lines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The level of a running logger; clones move the same one.
#[derive(Clone, Debug)]
pub struct LevelSwitch(Arc<AtomicUsize>);

impl LevelSwitch {
    /// A switch at that level.
    #[must_use]
    pub fn at(level: LogLevel) -> Self {
        Self(Arc::new(AtomicUsize::new(level as usize)))
    }

    /// The level of now.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        let last = LogLevel::ALL.len() - 1;
        LogLevel::ALL[self.0.load(Ordering::Relaxed).min(last)]
    }

    /// One level more is logged from now on, up to all; returns the level.
    pub fn more(&self) -> LogLevel {
        let most = LogLevel::ALL.len() - 1;
        let step = |level: usize| Some((level + 1).min(most));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok();
        self.level()
    }

    /// One level less is logged from now on, down to `critical`; returns the level.
    pub fn less(&self) -> LogLevel {
        let step = |level: usize| Some(level.saturating_sub(1));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok();
        self.level()
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = UnknownLogLevel;

    /// Reads the level's word in any case; `warn` means `warning`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("warn") {
            return Ok(Self::Warning);
        }
        Self::ALL
            .into_iter()
            .find(|level| text.eq_ignore_ascii_case(level.as_str()))
            .ok_or(UnknownLogLevel)
    }
}

impl From<LogLevel> for slog::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Critical => Self::Critical,
            LogLevel::Error => Self::Error,
            LogLevel::Warning => Self::Warning,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}

impl From<slog::Level> for LogLevel {
    fn from(level: slog::Level) -> Self {
        match level {
            slog::Level::Critical => Self::Critical,
            slog::Level::Error => Self::Error,
            slog::Level::Warning => Self::Warning,
            slog::Level::Info => Self::Info,
            slog::Level::Debug => Self::Debug,
            slog::Level::Trace => Self::Trace,
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for programs.
    Json,
    /// Text with colours where the output has them, for people.
    Terminal,
}

impl LogFormat {
    /// The format's word in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Terminal => "terminal",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    /// Reads the format's word in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Json, Self::Terminal]
            .into_iter()
            .find(|format| text.eq_ignore_ascii_case(format.as_str()))
            .ok_or(UnknownLogFormat)
    }
}

/// The text names no [`LogLevel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log level is one of trace, debug, info, warning, error, critical")]
pub struct UnknownLogLevel;

/// The text names no [`LogFormat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log format is one of json, terminal")]
pub struct UnknownLogFormat;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_reads_its_own_word() {
        for level in LogLevel::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(LogLevel::from(slog::Level::from(level)), level);
        }
    }

    #[test]
    fn a_switch_moves_level_by_level_and_stays_at_its_ends() {
        let switch = LevelSwitch::at(LogLevel::Info);
        let told: Vec<_> = (0..3).map(|_| switch.more()).collect();
        assert_eq!(told, [LogLevel::Debug, LogLevel::Trace, LogLevel::Trace]);
        let told: Vec<_> = (0..6).map(|_| switch.clone().less()).collect();
        assert_eq!(told[..3], [LogLevel::Debug, LogLevel::Info, LogLevel::Warning]);
        assert_eq!((told[5], switch.level()), (LogLevel::Critical, LogLevel::Critical));
    }

    #[test]
    fn levels_are_read_in_any_case_and_nothing_else_is() {
        for (text, expected) in [
            ("warn", Ok(LogLevel::Warning)),
            ("WARNING", Ok(LogLevel::Warning)),
            ("Info", Ok(LogLevel::Info)),
            ("", Err(UnknownLogLevel)),
            ("crit", Err(UnknownLogLevel)),
            (" info", Err(UnknownLogLevel)),
        ] {
            assert_eq!(text.parse(), expected, "{text:?}");
        }
    }

    #[test]
    fn formats_are_json_and_terminal() {
        for (text, expected) in [
            ("json", Ok(LogFormat::Json)),
            ("Terminal", Ok(LogFormat::Terminal)),
            ("text", Err(UnknownLogFormat)),
            ("", Err(UnknownLogFormat)),
        ] {
            assert_eq!(text.parse(), expected, "{text:?}");
        }
    }
}

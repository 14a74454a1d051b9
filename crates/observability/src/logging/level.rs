//! The log level, the log format, and the switch that changes the level at run time.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Minimum level of logged records.
///
/// Release builds contain no `trace` records: there, `Trace` equals `Debug`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Data is lost or the process ends.
    Critical,
    /// A failure for someone to look at.
    Error,
    /// A problem the server handled.
    Warning,
    /// Normal operation. The default.
    #[default]
    Info,
    /// Details for troubleshooting.
    Debug,
    /// All details.
    Trace,
}

impl LogLevel {
    const ALL: [Self; 6] =
        [Self::Critical, Self::Error, Self::Warning, Self::Info, Self::Debug, Self::Trace];

    /// Returns the name used in settings and log lines.
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

/// The level of a running logger. Clones share it.
#[derive(Clone, Debug)]
pub struct LevelSwitch(Arc<AtomicUsize>);

impl LevelSwitch {
    /// Returns a switch at `level`.
    #[must_use]
    pub fn at(level: LogLevel) -> Self {
        // The discriminants are positions in `ALL`.
        Self(Arc::new(AtomicUsize::new(level as usize)))
    }

    /// Returns the current level.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        // The bound keeps the index valid in any case.
        let last = LogLevel::ALL.len() - 1;
        LogLevel::ALL[self.0.load(Ordering::Relaxed).min(last)]
    }

    /// Makes the log one level more detailed, up to `trace`, and returns the new level.
    pub fn more(&self) -> LogLevel {
        let most = LogLevel::ALL.len() - 1;
        let step = |level: usize| Some((level + 1).min(most));
        // One atomic step, so two signals at once move the level twice.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok();
        self.level()
    }

    /// Makes the log one level less detailed, down to `critical`, and returns the new level.
    pub fn less(&self) -> LogLevel {
        let step = |level: usize| Some(level.saturating_sub(1));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok();
        self.level()
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` honours the width in the header of the terminal format.
        f.pad(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = UnknownLogLevel;

    /// Ignores case. `warn` means `warning`.
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

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people, coloured if the output is a terminal.
    Terminal,
}

impl LogFormat {
    /// Returns the name used in settings.
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

    /// Ignores case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Json, Self::Terminal]
            .into_iter()
            .find(|format| text.eq_ignore_ascii_case(format.as_str()))
            .ok_or(UnknownLogFormat)
    }
}

/// A text is not a [`LogLevel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log level: use trace, debug, info, warning, error or critical")]
pub struct UnknownLogLevel;

/// A text is not a [`LogFormat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log format: use json or terminal")]
pub struct UnknownLogFormat;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_read_from_its_own_name() {
        for level in LogLevel::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(LogLevel::from(slog::Level::from(level)), level);
        }
    }

    #[test]
    fn switch_moves_level_by_level_and_stays_at_its_ends() {
        let switch = LevelSwitch::at(LogLevel::Info);
        let levels: Vec<_> = (0..3).map(|_| switch.more()).collect();
        assert_eq!(levels, [LogLevel::Debug, LogLevel::Trace, LogLevel::Trace]);
        // Five steps lead from trace to critical, and the sixth stays.
        let levels: Vec<_> = (0..6).map(|_| switch.clone().less()).collect();
        assert_eq!(levels[..3], [LogLevel::Debug, LogLevel::Info, LogLevel::Warning]);
        assert_eq!((levels[5], switch.level()), (LogLevel::Critical, LogLevel::Critical));
    }

    #[test]
    fn level_is_read_in_any_case() {
        for (text, expected) in [
            ("warn", Ok(LogLevel::Warning)),
            ("WARNING", Ok(LogLevel::Warning)),
            ("Info", Ok(LogLevel::Info)),
            ("", Err(UnknownLogLevel)),
            // The short name of slog is not accepted.
            ("crit", Err(UnknownLogLevel)),
            // The settings are trimmed before.
            (" info", Err(UnknownLogLevel)),
        ] {
            assert_eq!(text.parse(), expected, "{text:?}");
        }
    }

    #[test]
    fn format_is_json_or_terminal() {
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

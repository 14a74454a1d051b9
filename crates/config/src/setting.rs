//! A setting for output, and the error of an invalid one.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// A setting and its value in force. Secrets are replaced by `***`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Name in the environment.
    pub name: &'static str,
    /// Value in force; `None` if unset without a default.
    pub value: Option<String>,
    /// Source of the value.
    pub source: Source,
    /// Value if unset.
    pub default: Option<String>,
    /// Unit of a number.
    pub unit: Option<&'static str>,
    /// Allowed values.
    pub range: String,
    /// Whether the value may contain a secret.
    pub is_secret: bool,
}

/// Settings that serialise as one object of names and values, as the server logs them.
#[derive(Debug, Clone)]
pub struct SettingsByName(pub Vec<Setting>);

impl Serialize for SettingsByName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|setting| (setting.name, &setting.value)))
    }
}

/// Source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Unset.
    Default,
    /// The environment variable.
    Environment,
    /// The file named by the variable with the suffix `_FILE`.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An invalid setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    /// Name of the setting.
    pub name: String,
    /// The error and the allowed values. Contains no secret.
    pub message: String,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// All invalid settings of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<InvalidSetting>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid settings:")?;
        for invalid in &self.0 {
            write!(f, "\n  {invalid}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

//! A setting as it is shown, and what is wrong with one.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// A setting and the value that is in force. Holds no secret: in place of one stands `***`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name in the environment.
    pub name: &'static str,
    /// The value that is in force; `None`: none is set, and there is no default.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: Source,
    /// The value where nothing is set.
    pub default: Option<String>,
    /// What a number counts.
    pub unit: Option<&'static str>,
    /// The values that it takes.
    pub range: String,
    /// Whether it may hold a secret, and so can be read from a file.
    pub is_secret: bool,
}

/// Where the value of a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nothing is set.
    Default,
    /// The variable of the setting's name.
    Environment,
    /// The file that the variable of the setting's name with `_FILE` names.
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

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    /// The setting.
    pub name: String,
    /// What is wrong. Holds no secret.
    pub message: String,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// All settings that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<InvalidSetting>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings can't be used:")?;
        self.0.iter().try_for_each(|invalid| write!(f, "\n  {invalid}"))
    }
}

impl std::error::Error for ConfigError {}

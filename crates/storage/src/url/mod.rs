//! The URL of a database: parsed, checked, and never printed with its password.
//!
//! PostgreSQL URLs become a list of parameters for libpq, see [`parameters`].

mod error;
mod libpq_names;
mod parameters;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use mercurio_domain::store::Backend;

pub use error::DatabaseUrlError;
use parameters::Parameters;

const IN_MEMORY: &str = "an in-memory database would be lost with the process";

/// The URL of a database. Prints without its password, and without the values of parameters that may
/// hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Target);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Postgres(Parameters),
    Sqlite(PathBuf),
}

impl DatabaseUrl {
    /// Parses `postgres://…`, `postgresql://…` or `sqlite://PATH`. The path is relative as in
    /// `sqlite://data/mercurio.db` or absolute as in `sqlite:///var/lib/mercurio.db`. Opens
    /// nothing.
    ///
    /// # Errors
    /// [`DatabaseUrlError`] if the URL is malformed or needs TLS that this build lacks.
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        // Everything after the scheme is the path, percent signs included.
        if let Some(path) = text.strip_prefix("sqlite://") {
            return sqlite_file(path).map(|path| Self(Target::Sqlite(path)));
        }
        if text.starts_with("sqlite:") {
            return Err(DatabaseUrlError::NoFile(IN_MEMORY));
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let parameters = Parameters::parse(rest.ok_or(DatabaseUrlError::UnknownScheme)?)?;
        parameters.check_encryption(cfg!(feature = "tls"))?;
        Ok(Self(Target::Postgres(parameters)))
    }

    /// Returns the kind of database.
    #[must_use]
    pub fn backend(&self) -> Backend {
        match self.0 {
            Target::Postgres(_) => Backend::Postgres,
            Target::Sqlite(_) => Backend::Sqlite,
        }
    }

    /// The database file, if it does not exist: opening a store would create it. `None` for a
    /// server, and for a path that cannot be looked at.
    #[must_use]
    pub fn missing_file(&self) -> Option<&Path> {
        match &self.0 {
            Target::Sqlite(path) if matches!(path.try_exists(), Ok(false)) => Some(path),
            _ => None,
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.0
    }

    /// The URL as text, with the password.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn to_text(&self) -> String {
        match &self.0 {
            Target::Postgres(parameters) => parameters.to_url(false),
            Target::Sqlite(_) => self.to_string(),
        }
    }

    /// The URL of another database on the same server. SQLite URLs stay the same.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_database(&self, name: &str) -> Self {
        let mut url = self.clone();
        if let Target::Postgres(parameters) = &mut url.0 {
            parameters.set("dbname", name);
        }
        url
    }
}

impl Default for DatabaseUrl {
    /// `sqlite://data/mercurio.db`.
    fn default() -> Self {
        Self(Target::Sqlite(Path::new("data").join("mercurio.db")))
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for DatabaseUrl {
    /// For PostgreSQL `postgres://user:***@host:port/name?…`, without the default parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Postgres(parameters) => f.write_str(&parameters.to_url(true)),
            Target::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn sqlite_file(path: &str) -> Result<PathBuf, DatabaseUrlError> {
    let problem = match path {
        "" => "the path is empty",
        _ if path.ends_with('/') => "the path is a folder",
        // SQLite gives these two a special meaning.
        _ if path.starts_with(":memory:") => IN_MEMORY,
        _ if path.starts_with("file:") => "file: is another kind of URL",
        // SQLite would take it as part of the name, but a user expects `?mode=ro` to work.
        _ if path.contains('?') => "parameters are not supported",
        _ if path.contains('\0') => "the path contains U+0000",
        _ => return Ok(PathBuf::from(path)),
    };
    Err(DatabaseUrlError::NoFile(problem))
}

#[cfg(test)]
mod tests;

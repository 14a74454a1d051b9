//! Why a database URL is refused.

/// Why a text is not a valid [`DatabaseUrl`](super::DatabaseUrl). No message contains a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// The scheme is none of `postgres`, `postgresql` and `sqlite`.
    #[error("not a database URL: it must begin with postgres://, postgresql:// or sqlite://")]
    UnknownScheme,
    /// `sqlite://` without a usable file path.
    #[error("sqlite:// needs a file path, such as sqlite://data/mercurio.db: {0}")]
    NoFile(&'static str),
    /// A malformed `postgres://` URL.
    #[error("malformed PostgreSQL URL: {0}")]
    Malformed(&'static str),
    /// A parameter that libpq does not know. Its name is left out: it may be a part of a password.
    #[error(
        "the PostgreSQL URL has a parameter that libpq does not know; the PostgreSQL manual lists all \
         under \"Parameter Key Words\", such as sslmode; percent-encode & and = in values"
    )]
    UnknownParameter,
    /// `postgres://` without a host.
    #[error(
        "the PostgreSQL URL has no host: add one, as in postgres://user@localhost/mercurio, or the \
         socket folder, as in postgres:///mercurio?host=/var/run/postgresql"
    )]
    NoHost,
    /// Passwords and events would cross a network unencrypted.
    #[error(
        "{host} is another machine and this build has no TLS: use a build with the feature `tls`, or \
         add sslmode=disable to the URL if you trust the network"
    )]
    Unencrypted {
        /// The remote host.
        host: String,
    },
    /// The URL requires TLS and this build has none.
    #[error(
        "the URL requires TLS (sslmode={sslmode}) and this build has none: use a build with the \
         feature `tls`"
    )]
    NoTls {
        /// The mode in the URL.
        sslmode: String,
    },
}

//! The reasons to refuse a start or to end with an error, with their exit codes.

use mercurio_api::transport::ListenError;
use mercurio_config::ConfigError;
use mercurio_domain::store::StoreError;
use mercurio_observability::TraceError;

/// A server that did not start, or did not stop in order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The schema of the database is not compatible with this program.
    #[error("{0}")]
    Schema(String),
    #[error("cannot use the database")]
    Store(#[from] StoreError),
    #[error("cannot use MERCURIO_GEOIP_DB: {0}")]
    GeoIp(String),
    #[error(transparent)]
    Traces(#[from] TraceError),
    #[error("the operating system provides no random bytes: {0}")]
    Entropy(String),
    /// The operating system refuses a socket, a thread or a signal.
    #[error("{action}")]
    Io {
        /// The failed action, such as `cannot start the count thread`.
        action: String,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the shutdown grace expired: some requests got no response, and clients may send them again"
    )]
    GraceExpired,
}

impl StartError {
    pub(crate) fn io(action: &str, source: std::io::Error) -> Self {
        Self::Io { action: action.to_owned(), source }
    }

    /// Returns the exit code: the one of sysexits.h, if it has one for the error.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            // EX_USAGE
            Self::Config(_) => 64,
            // EX_UNAVAILABLE
            Self::Store(StoreError::Unavailable(_)) => 69,
            // EX_CONFIG
            Self::Schema(_) => 78,
            Self::Listen(_)
            | Self::Store(_)
            | Self::GeoIp(_)
            | Self::Traces(_)
            | Self::Entropy(_)
            | Self::Io { .. }
            | Self::GraceExpired => 1,
        }
    }
}

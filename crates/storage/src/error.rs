//! The crate's error: a kind for the caller to act on, and a message for the log.
//!
//! No diesel type leaves this crate.

use std::error::Error as StdError;
use std::fmt;

use diesel::ConnectionError;
use diesel::r2d2::PoolError;
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};
use mercurio_domain::store::{CreateError, StoreError};

/// What the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// Rolled back in favour of a concurrent transaction. A retry may succeed.
    Conflict,
    /// The database is unreachable, read-only or out of space. It may recover.
    Unavailable,
    /// The connection is lost, and must not be used again. Callers of a retry see `Unavailable`.
    Disconnected,
    /// The statement ran into its time limit. Outside of reads of events like `Unavailable`.
    TimedOut,
    /// The database rejects the data, now and later.
    Refused,
    /// No partition covers the row's time of receipt.
    NoPartition,
    /// A copied key exists already. The group must claim its keys instead.
    KeyTaken,
    /// A unique name is taken.
    NameTaken,
    /// The tenant or workspace does not exist.
    NoOwner,
    /// Any other failure: a bug here or in the database.
    Internal,
}

/// A failed statement, connection or conversion.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) kind: ErrorKind,
    /// Without values of rows: PostgreSQL reports those in the details, which are left out.
    pub(crate) message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        // libpq ends messages with a line feed, and writes a line per host it tried.
        let text = message.to_string();
        let message = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { kind, message }
    }

    /// A stored value that this program cannot read.
    pub(crate) fn unreadable(value: &str) -> Self {
        Self::new(ErrorKind::Internal, format_args!("a stored value can't be read: {value}"))
    }

    /// A pooler gives the sessions of one client to another. `detail` is what showed it.
    pub(crate) fn shared_session(detail: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::Unavailable,
            format_args!(
                "a pooler in transaction mode is between this program and PostgreSQL: connect directly, or set \
                 the pooler to session mode ({detail})"
            ),
        )
    }

    /// An error of which only the text is left.
    pub(crate) fn from_text(context: &str, text: &str) -> Self {
        Self::new(kind_of_message(text), format_args!("{context}: {text}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {}

/// Every name of diesel's prepared statements, also in a message in another language.
const STATEMENT_NAME: &str = "__diesel_stmt_";

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        let text = error.to_string();
        // The statement exists already, or not: another client prepared it on this session.
        if text.contains(STATEMENT_NAME) {
            return Self::shared_session(text);
        }
        let kind = match &error {
            DieselError::DatabaseError(kind, information) => database_error(kind, &**information),
            // The connection is unusable, and its transaction ends with it.
            DieselError::RollbackErrorOnCommit { .. } | DieselError::BrokenTransactionManager => {
                ErrorKind::Unavailable
            }
            // The database has no encoding for the value.
            DieselError::SerializationError(_) => ErrorKind::Refused,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, text)
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        Self::new(ErrorKind::Unavailable, format_args!("no connection: {error}"))
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        Self::new(ErrorKind::Unavailable, format_args!("no connection: {error}"))
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error.kind {
            // A conflict left after all retries means overload, and the client may try again.
            ErrorKind::Unavailable
            | ErrorKind::Disconnected
            | ErrorKind::Conflict
            | ErrorKind::TimedOut => Self::Unavailable(Box::new(error)),
            ErrorKind::Refused => Self::Refused(Box::new(error)),
            // Callers handle the first four; one of them here is a bug.
            ErrorKind::NoPartition
            | ErrorKind::KeyTaken
            | ErrorKind::NameTaken
            | ErrorKind::NoOwner
            | ErrorKind::Internal => Self::Internal(Box::new(error)),
        }
    }
}

impl From<Error> for CreateError {
    fn from(error: Error) -> Self {
        match error.kind {
            ErrorKind::NameTaken => Self::NameTaken,
            ErrorKind::NoOwner => Self::NoOwner,
            _ => Self::Store(error.into()),
        }
    }
}

/// Turns the error of a read of events into the caller's.
pub(crate) fn read_error(error: Error) -> StoreError {
    match error.kind {
        ErrorKind::TimedOut => StoreError::TimedOut(Box::new(error)),
        _ => error.into(),
    }
}

fn database_error(kind: &DatabaseErrorKind, error: &dyn DatabaseErrorInformation) -> ErrorKind {
    use DatabaseErrorKind as Kind;
    match kind {
        Kind::SerializationFailure => ErrorKind::Conflict,
        Kind::ReadOnlyTransaction => ErrorKind::Unavailable,
        // PostgreSQL reports a row without a partition as a violated check without a name.
        Kind::CheckViolation
            if matches!(error.table_name(), Some("events" | "rejections"))
                && error.constraint_name().is_none() =>
        {
            ErrorKind::NoPartition
        }
        // Taken names and keys are handled elsewhere, so these are bad data.
        Kind::UniqueViolation
        | Kind::ForeignKeyViolation
        | Kind::NotNullViolation
        | Kind::CheckViolation
        | Kind::RestrictViolation
        | Kind::ExclusionViolation => ErrorKind::Refused,
        // libpq sends any statement of ours on a working connection, whatever its data.
        Kind::ClosedConnection | Kind::UnableToSendCommand => ErrorKind::Disconnected,
        _ => kind_of_message(error.message()),
    }
}

/// Classifies the message. diesel hides most error codes of both databases and reports `Unknown`.
fn kind_of_message(message: &str) -> ErrorKind {
    // The first match wins, so a specific part precedes a general one.
    let known = MESSAGES.iter().find(|known| message.contains(known.part));
    known.map_or(ErrorKind::Internal, |known| known.kind)
}

/// A part of a message and its meaning.
struct KnownMessage {
    part: &'static str,
    kind: ErrorKind,
}

const fn known(part: &'static str, kind: ErrorKind) -> KnownMessage {
    KnownMessage { part, kind }
}

/// Messages from PostgreSQL's sources (codes: manual, appendix A) and from `sqlite3_errstr`.
///
/// They are English: libpq here and SQLite have no other language, and store connections set
/// `lc_messages` if they may. A message in another language counts as [`ErrorKind::Internal`], and
/// the group writer decides by a probe.
const MESSAGES: [KnownMessage; 36] = [
    // PostgreSQL 40P01, 40001, 55P03
    known("deadlock detected", ErrorKind::Conflict),
    known("could not serialize access", ErrorKind::Conflict),
    // Before "canceling statement", which these messages contain too.
    known("due to lock timeout", ErrorKind::Conflict),
    known("due to statement timeout", ErrorKind::TimedOut),
    // PostgreSQL 57P01 to 57P05, 57014, 08
    known("terminating connection", ErrorKind::Unavailable),
    // "… is starting up", "… is shutting down", "… is in recovery mode".
    known("the database system is", ErrorKind::Unavailable),
    known("canceling statement", ErrorKind::Unavailable),
    known("server closed the connection", ErrorKind::Unavailable),
    known("no connection to the server", ErrorKind::Unavailable),
    known("could not receive data", ErrorKind::Unavailable),
    known("could not send data", ErrorKind::Unavailable),
    known("SSL connection has been closed", ErrorKind::Unavailable),
    known("SSL SYSCALL error", ErrorKind::Unavailable),
    // PostgreSQL 53100, 53200, 53300; "wrote only" is a page that did not fit on the disk.
    known("No space left on device", ErrorKind::Unavailable),
    known("wrote only", ErrorKind::Unavailable),
    known("out of memory", ErrorKind::Unavailable),
    known("out of shared memory", ErrorKind::Unavailable),
    known("too many clients already", ErrorKind::Unavailable),
    known("remaining connection slots", ErrorKind::Unavailable),
    // PostgreSQL 22021, 22P02, 22P03, 22P05, 22008, 54000
    known("invalid byte sequence", ErrorKind::Refused),
    known("invalid input syntax", ErrorKind::Refused),
    known("incorrect binary data format", ErrorKind::Refused),
    known("unsupported Unicode escape sequence", ErrorKind::Refused),
    known("out of range", ErrorKind::Refused),
    known("value too long", ErrorKind::Refused),
    // "index row size … exceeds …": a value too long for an index.
    known("index row", ErrorKind::Refused),
    // SQLite <https://sqlite.org/rescode.html>
    known("interrupted", ErrorKind::TimedOut),
    known("database is locked", ErrorKind::Conflict),
    known("database table is locked", ErrorKind::Conflict),
    known("database or disk is full", ErrorKind::Unavailable),
    known("disk I/O error", ErrorKind::Unavailable),
    known("attempt to write a readonly database", ErrorKind::Unavailable),
    known("unable to open database file", ErrorKind::Unavailable),
    known("locking protocol", ErrorKind::Unavailable),
    known("string or blob too big", ErrorKind::Refused),
    // A value of the wrong type for a column of a STRICT table.
    known("cannot store", ErrorKind::Refused),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooler_in_transaction_mode_is_named_with_the_way_out() {
        for message in [
            r#"prepared statement "__diesel_stmt_0" already exists"#,
            r#"prepared statement "__diesel_stmt_3" does not exist"#,
            "vorbereitete Anweisung »__diesel_stmt_0« existiert bereits",
        ] {
            let error = DieselError::DatabaseError(
                DatabaseErrorKind::Unknown,
                Box::new(message.to_owned()),
            );
            let error = Error::from(error);
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.contains("session mode"), "{error}");
            assert!(error.message.contains(message), "{error}");
        }
    }

    #[test]
    fn unsendable_statement_means_a_lost_connection() {
        // The second is from a libpq with translations; the third is libpq without memory.
        for message in ["no connection to the server\n", "keine Verbindung zum Server", ""] {
            let error = DieselError::DatabaseError(
                DatabaseErrorKind::UnableToSendCommand,
                Box::new(message.to_owned()),
            );
            assert_eq!(Error::from(error).kind, ErrorKind::Disconnected, "{message}");
        }
    }
}

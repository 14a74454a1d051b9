//! What went wrong below, sorted by what the caller can do about it. No type of diesel gets out of here.

use std::error::Error;
use std::fmt;

use diesel::r2d2::PoolError;
use mercurio_domain::store::{CreateError, StoreError};

/// What a failure means for the one who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Another transaction stood in the way. This one was rolled back; it may go well at the next try.
    Conflict,
    /// The database is away, or has no room; it may be back.
    Unavailable,
    /// The data can't be stored.
    Refused,
    /// A row belongs into a partition that does not exist.
    NoPartition,
    /// A key was written as if it were free, and is taken. Another way of writing takes that in its stride.
    KeyTaken,
    /// A name is taken.
    NameTaken,
    /// What something was to be made for does not exist.
    NoOwner,
    /// Anything else.
    Internal,
}

/// A failure of a statement, of a connection or of a value read back.
#[derive(Debug)]
pub(crate) enum Failure {
    Database(diesel::result::Error),
    /// No connection could be had.
    NoConnection(String),
    /// The caller has found out already what it means.
    Sorted(Fault, String),
    /// The database holds what this program does not understand.
    Unreadable(&'static str),
}

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::NoConnection(error.to_string())
    }
}

impl fmt::Display for Failure {
    /// Without values of rows: PostgreSQL puts those into a message's details, which are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => write!(f, "{}", one_line(&error.to_string())),
            Self::NoConnection(reason) => write!(f, "no connection: {}", one_line(reason)),
            Self::Sorted(_, reason) => write!(f, "{}", one_line(reason)),
            Self::Unreadable(what) => write!(f, "a stored value can't be read: {what}"),
        }
    }
}

/// The cause of a [`StoreError`], in words.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Cause {}

/// A failure and what it means, on its way out.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) fault: Fault,
    pub(crate) reason: String,
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        let cause = Box::new(Cause(failed.reason));
        match failed.fault {
            Fault::Unavailable | Fault::Conflict => Self::Unavailable(cause),
            Fault::Refused => Self::Refused(cause),
            Fault::NoPartition
            | Fault::KeyTaken
            | Fault::NameTaken
            | Fault::NoOwner
            | Fault::Internal => Self::Internal(cause),
        }
    }
}

impl From<Failed> for CreateError {
    fn from(failed: Failed) -> Self {
        match failed.fault {
            Fault::NameTaken => Self::NameTaken,
            Fault::NoOwner => Self::NoOwner,
            _ => Self::Store(failed.into()),
        }
    }
}

/// libpq ends its messages with a line feed, and has several lines where several hosts were tried.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

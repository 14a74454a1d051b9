//! Why a command did not do what was asked, and the exit codes, which scripts rely on.

use std::io;
use std::process::ExitCode;

use mercurio_domain::ApiKeyId;
use mercurio_domain::store::{Backend, CreateError, StoreError};
use mercurio_domain::tenant::Name;

use crate::EntropyError;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: what was asked is done.
    Done,
    /// 1: it failed.
    Failed,
    /// 2: some of it is done; the same command does the rest.
    Partly,
    /// 3: the name is taken.
    NameTaken,
    /// 4: there is no such tenant, workspace or key.
    NotFound,
    /// 64: the command line or a setting is wrong; nothing was tried. (`EX_USAGE` of sysexits.h.)
    Usage,
    /// 69: the database can't be reached. (`EX_UNAVAILABLE` of sysexits.h.)
    Unavailable,
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Partly => 2,
            Self::NameTaken => 3,
            Self::NotFound => 4,
            Self::Usage => 64,
            Self::Unavailable => 69,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The command line or settings are wrong; every mistake is told.
    #[error("{}", .0.join("; "))]
    Usage(Vec<String>),
    /// There is a tenant of that name.
    #[error("a tenant of the name {:?} exists; names are compared without case and surrounding space", .0.as_str())]
    NameTaken(Name),
    /// The tenant has a workspace of that name.
    #[error(
        "the tenant has a workspace of the name {:?}; names are compared without case and surrounding space",
        .0.as_str()
    )]
    WorkspaceTaken(Name),
    /// There is nothing of that name or id.
    #[error("there is no {what} {name:?}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// The name or id that was looked for.
        name: String,
    },
    /// The key has ended, and nothing can take its place.
    #[error("the API key {id} {what}: make a new one with `key create`")]
    Ended {
        /// The key.
        id: ApiKeyId,
        /// How it ended.
        what: &'static str,
    },
    /// The tenant is there, and not the workspace.
    #[error(
        "the tenant {:?} exists and has no workspace {:?}; seeding adds nothing to a tenant that exists",
        tenant.as_str(),
        workspace.as_str()
    )]
    NoSuchWorkspace {
        /// The tenant's name.
        tenant: Name,
        /// The name that was looked for.
        workspace: Name,
    },
    /// The database lacks migrations.
    #[error(
        "the {backend} database has an older schema ({} missing): run `mercurio-admin migrate` first",
        match .missing { 1 => "1 migration".to_owned(), count => format!("{count} migrations") }
    )]
    OlderSchema {
        /// Which database it is.
        backend: Backend,
        /// How many migrations it lacks.
        missing: usize,
    },
    /// A newer release has been here.
    #[error(
        "the {backend} database has the schema of a newer release (migration {newest}): use that release's program for this"
    )]
    NewerSchema {
        /// Which database it is.
        backend: Backend,
        /// The newest migration that this program does not know.
        newest: String,
    },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// It was ended before it was done.
    #[error("ended with {events} events removed and more to go: the same command does the rest")]
    Partly {
        /// Events that were removed.
        events: u64,
        /// What ended it; `None`: somebody who asked for it.
        #[source]
        source: Option<StoreError>,
    },
    /// The person at the terminal did not say yes.
    #[error("this was not confirmed; nothing was changed")]
    NotConfirmed,
    /// What was found can't be told as JSON.
    #[error("a result can't be told as JSON")]
    Json(#[from] serde_json::Error),
    /// Nobody takes the rest of an export.
    #[error("the export ended after {written} events: stdout can't be written to")]
    Export {
        /// Events that were written before.
        written: u64,
        /// Why the next was not.
        #[source]
        source: io::Error,
    },
    /// Stdout can't be written to.
    #[error("the result can't be written to stdout; a key that was just made is lost with it")]
    Output(#[source] io::Error),
}

impl AdminError {
    /// How the program ends for it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::NameTaken(_) | Self::WorkspaceTaken(_) | Self::NoSuchWorkspace { .. } => {
                Exit::NameTaken
            }
            Self::NotFound { .. } => Exit::NotFound,
            Self::Partly { .. } => Exit::Partly,
            Self::Store(error) if error.is_unavailable() => Exit::Unavailable,
            Self::OlderSchema { .. } | Self::NewerSchema { .. } | Self::Ended { .. } => {
                Exit::Failed
            }
            Self::NotConfirmed | Self::Json(_) | Self::Export { .. } => Exit::Failed,
            Self::Store(_) | Self::Entropy(_) | Self::Output(_) => Exit::Failed,
        }
    }

    /// What is told on stderr: a line for each mistake, or the error and its causes in one.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Usage(invalid) => invalid.clone(),
            other => vec![crate::chain(other)],
        }
    }

    /// The error of a tenant of that name that was not made.
    pub(crate) fn of_tenant(name: &Name) -> impl FnOnce(CreateError) -> Self {
        move |error| match error {
            CreateError::NameTaken => Self::NameTaken(name.clone()),
            other => Self::of_creating(other, "tenant", name.as_str()),
        }
    }

    /// The error of something that was not made for an owner that is not there, or for another reason.
    pub(crate) fn of_creating(error: CreateError, owner: &'static str, name: &str) -> Self {
        match error {
            CreateError::NameTaken => Self::WorkspaceTaken(Name::from_store(name)),
            CreateError::NoOwner => Self::NotFound { what: owner, name: name.to_owned() },
            CreateError::Store(error) => Self::Store(error),
        }
    }
}

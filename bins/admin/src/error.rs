//! Why a command did not do what was asked, and the exit codes, which scripts rely on.

use std::io;
use std::process::ExitCode;

use mercurio_domain::store::{Backend, ProvisionError, StoreError};
use mercurio_domain::tenant::Name;

use crate::EntropyError;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: what was asked is done.
    Done,
    /// 1: it failed.
    Failed,
    /// 3: the name is taken.
    NameTaken,
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
            Self::NameTaken => 3,
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
        "the {backend} database has the schema of a newer release (migration {newest}): use that release's program"
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
            Self::NameTaken(_) | Self::NoSuchWorkspace { .. } => Exit::NameTaken,
            Self::Store(error) if error.is_unavailable() => Exit::Unavailable,
            Self::OlderSchema { .. } | Self::NewerSchema { .. } => Exit::Failed,
            Self::Store(_) | Self::Entropy(_) | Self::Output(_) => Exit::Failed,
        }
    }

    /// What is told on stderr: a line for each mistake, or the error and its causes in one.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Usage(mistakes) => mistakes.clone(),
            other => vec![crate::chain(other)],
        }
    }

    /// The error of a tenant of that name that was not made.
    pub(crate) fn of_provisioning(name: &Name) -> impl FnOnce(ProvisionError) -> Self {
        move |error| match error {
            ProvisionError::NameTaken => Self::NameTaken(name.clone()),
            ProvisionError::Store(error) => Self::Store(error),
        }
    }
}

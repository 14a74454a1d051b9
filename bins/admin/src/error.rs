//! Errors of the commands and their exit codes. Scripts rely on the codes; `--help` and
//! docs/OPERATIONS.md list them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{fmt, io};

use mercurio_domain::store::{Backend, CreateError, StoreError};
use mercurio_domain::tenant::Name;
use mercurio_domain::{ApiKeyId, TenantId, WorkspaceId};
use mercurio_forwarding::ForwardError;
use mercurio_observability::chain;

use crate::machine::EntropyError;

/// Exit status of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: success.
    Done,
    /// 1: any error without a code of its own.
    Failed,
    /// 2: part of the work is done; the same command finishes it.
    Incomplete,
    /// 3: the name is taken.
    NameTaken,
    /// 4: no such tenant, workspace, key or event.
    NotFound,
    /// 64, `EX_USAGE` of sysexits.h: invalid command line or settings.
    Usage,
    /// 69, `EX_UNAVAILABLE` of sysexits.h: the database is unreachable.
    Unavailable,
}

impl Exit {
    /// Returns the number for the shell.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Incomplete => 2,
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

/// A tenant, workspace, key or event, as the user named it. Displays as `tenant "Acme"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogItem {
    /// Selects the noun and the hint of the message.
    pub kind: ItemKind,
    /// A name, or an id such as `id:42`.
    pub name: String,
}

/// Kinds of [`CatalogItem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ItemKind {
    Tenant,
    Workspace,
    ApiKey,
    Event,
}

impl CatalogItem {
    pub(crate) fn new(kind: ItemKind, name: impl fmt::Display) -> Self {
        Self { kind, name: name.to_string() }
    }

    /// The command that lists the items of this kind.
    fn list_command(&self) -> &'static str {
        match self.kind {
            ItemKind::Tenant => "tenant list",
            ItemKind::Workspace => "workspace list --tenant …",
            ItemKind::ApiKey => "key list",
            ItemKind::Event => "events list --tenant …",
        }
    }
}

impl fmt::Display for CatalogItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = match self.kind {
            ItemKind::Tenant => "tenant",
            ItemKind::Workspace => "workspace",
            ItemKind::ApiKey => "API key",
            ItemKind::Event => "event",
        };
        write!(f, "{noun} {:?}", self.name)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The command line is invalid.
    #[error("{}", .errors.join("; "))]
    CommandLine {
        /// One entry per error.
        errors: Vec<String>,
        /// Usage of the command, in several lines.
        usage: String,
    },
    /// The arguments do not fit the database, or the settings are invalid: one entry per error.
    #[error("{}", .0.join("; "))]
    Usage(Vec<String>),
    /// Another tenant, or another workspace of the tenant, has this name.
    #[error("the {0} exists already; names ignore case and surrounding space: choose another name")]
    NameTaken(CatalogItem),
    /// Nothing has this name or id.
    #[error("there is no {0}: `{list}` shows those that exist", list = .0.list_command())]
    NotFound(CatalogItem),
    /// A workspace being deleted gets no new key.
    #[error("the workspace {0:?} is being deleted: `workspace delete` finishes that")]
    WorkspaceDeleting(String),
    /// An ended key cannot be rotated.
    #[error("the API key {id} {reason}: create another with `key create`")]
    KeyEnded {
        /// Public id.
        id: ApiKeyId,
        /// A verb phrase: `was revoked` or `has expired`.
        reason: &'static str,
    },
    /// `seed` found the tenant, but not its workspace.
    #[error(
        "the tenant {:?} exists without a workspace {:?}, and seed does not change existing \
         tenants: create it with `workspace create`",
        tenant.as_str(),
        workspace.as_str()
    )]
    SeedWorkspaceMissing {
        /// The existing tenant.
        tenant: Name,
        /// Value of `SEED_WORKSPACE_NAME`.
        workspace: Name,
    },
    /// The SQLite file does not exist, and the command does not create it.
    #[error(
        "there is no database {path:?}: start the server, or run `mercurio-admin provision` or \
         `mercurio-admin migrate`, which create it; DATABASE_URL names another database"
    )]
    NoDatabase {
        /// Absolute path of the file.
        path: PathBuf,
    },
    /// The database lacks migrations.
    #[error(
        "the {backend} database lacks {}: run `mercurio-admin migrate` first",
        match .missing { 1 => "1 migration".to_owned(), count => format!("{count} migrations") }
    )]
    OlderSchema {
        /// Kind of the database.
        backend: Backend,
        /// Number of missing migrations.
        missing: usize,
    },
    /// A newer release migrated the database.
    #[error(
        "the {backend} database has migration {newest} of a newer release: \
         use that release's program"
    )]
    NewerSchema {
        /// Kind of the database.
        backend: Backend,
        /// Version of the newest unknown migration.
        newest: String,
    },
    /// Forwarding ended by itself.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// The database call failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes for a key.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A removal stopped between two steps.
    #[error("stopped after removing {events} events: run the same command again to finish")]
    Incomplete {
        /// Events removed by this run.
        events: u64,
        /// `None` after SIGINT or SIGTERM.
        #[source]
        source: Option<StoreError>,
    },
    /// An import stopped between two groups.
    #[error("stopped after importing {imported} events: run the same command again to continue")]
    ImportStopped {
        /// Events stored by this run.
        imported: u64,
        /// `None` after SIGINT or SIGTERM.
        #[source]
        source: Option<StoreError>,
    },
    /// The first event of an import is of another workspace.
    #[error(
        "line {line} is of the tenant id:{tenant_id} and its workspace {workspace_id}, not of the one \
         named: nothing was imported. If its events are meant for this workspace, as after a move to \
         another database, give --remap"
    )]
    OtherWorkspace {
        /// Number of the line.
        line: u64,
        /// Tenant of the event.
        tenant_id: TenantId,
        /// Workspace of the event.
        workspace_id: WorkspaceId,
    },
    /// An import is in another format, given with advice.
    #[error("the input is {0}; an import takes the NDJSON of `events export`")]
    ForeignFormat(&'static str),
    /// A file, or stdin, cannot be read.
    #[error("cannot read {}", path.display())]
    Input {
        /// Its path, or `stdin`.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The answer to the question was not the expected one.
    #[error("not confirmed; nothing was changed")]
    NotConfirmed,
    /// The result cannot be serialized.
    #[error("the result cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Stdout failed during an export.
    #[error("the export stopped after {written} events: stdout is not writable")]
    Export {
        /// Events written before the failure.
        written: u64,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Stdout failed after the command did its work.
    #[error("the command did its work, and its result cannot be written to stdout")]
    Output(#[source] io::Error),
    /// Nobody would see the new key.
    #[error(
        "stdout is closed or /dev/null, so the new key would be lost: write it to a file or a pipe; \
         no key was created"
    )]
    StdoutLost,
    /// Stdout failed after a key was created.
    #[error(
        "the new key {id} cannot be written to stdout {}",
        match .revoked {
            true => "and was revoked: create another",
            false => "and cannot be revoked now: revoke it with `key revoke`, and create another",
        }
    )]
    KeyLost {
        /// Public id of the new key.
        id: ApiKeyId,
        /// Whether it is revoked again.
        revoked: bool,
        /// Cause.
        #[source]
        source: Box<AdminError>,
    },
    /// A rotation stopped between its two steps.
    #[error(
        "the new key works, and the old key {id} keeps its expiry: revoke it when the clients have \
         switched"
    )]
    OldKeyKept {
        /// Public id of the old key.
        id: ApiKeyId,
        /// Cause.
        #[source]
        source: StoreError,
    },
}

impl AdminError {
    /// Returns the exit status for this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::CommandLine { .. } | Self::Usage(_) => Exit::Usage,
            // For a script both mean the same: the name of the tenant is in use.
            Self::NameTaken(_) | Self::SeedWorkspaceMissing { .. } => Exit::NameTaken,
            Self::NotFound(_) => Exit::NotFound,
            Self::Incomplete { .. } | Self::ImportStopped { .. } => Exit::Incomplete,
            // Only an unavailable database gets 69: a script may wait and try again.
            Self::Store(error) | Self::Forward(ForwardError::Store(error))
                if error.is_unavailable() =>
            {
                Exit::Unavailable
            }
            Self::NoDatabase { .. } | Self::OlderSchema { .. } | Self::NewerSchema { .. } => {
                Exit::Failed
            }
            Self::WorkspaceDeleting(_) | Self::KeyEnded { .. } => Exit::Failed,
            Self::OtherWorkspace { .. } | Self::ForeignFormat(_) | Self::Input { .. } => {
                Exit::Failed
            }
            Self::NotConfirmed | Self::Json(_) | Self::File { .. } | Self::Export { .. } => {
                Exit::Failed
            }
            Self::Store(_) | Self::Entropy(_) | Self::Output(_) => Exit::Failed,
            Self::Forward(_) => Exit::Failed,
            Self::StdoutLost | Self::KeyLost { .. } | Self::OldKeyKept { .. } => Exit::Failed,
        }
    }

    /// Returns the lines for stderr: one per usage error, otherwise one with the error and its
    /// causes.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::CommandLine { errors, .. } | Self::Usage(errors) => errors.clone(),
            other => vec![chain(other)],
        }
    }

    /// Converts the error of a failed creation of `item`, which belongs to `owner`.
    pub(crate) fn not_created(error: CreateError, item: CatalogItem, owner: CatalogItem) -> Self {
        match error {
            CreateError::NameTaken => Self::NameTaken(item),
            CreateError::NoOwner => Self::NotFound(owner),
            CreateError::Store(error) => Self::Store(error),
        }
    }
}

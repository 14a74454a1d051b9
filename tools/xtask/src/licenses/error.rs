//! Why licences could not be listed.

/// An error of `licenses`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or a program could not be read or run.
    #[error("cannot read {0}: {1}")]
    Io(String, #[source] std::io::Error),
    /// A program failed.
    #[error("{name} failed: {stderr}")]
    Command { name: String, stderr: String },
    /// `cargo metadata` printed other JSON.
    #[error("cannot read the output of cargo metadata: {0}")]
    Json(#[from] serde_json::Error),
    /// A package has neither a licence file nor a known licence.
    #[error(
        "{name} {version} ({license}) has no licence file; add the standard text of its licence to \
         tools/xtask/src/licenses"
    )]
    NoText { name: String, version: String, license: String },
}

//! `--yes` and `--dry-run` of the commands that delete.

/// How far a command that deletes may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Asks the person at the terminal.
    Ask,
    /// `--yes`: deletes without a question.
    Given,
    /// `--dry-run`: counts, and changes nothing.
    DryRun,
}

impl Consent {
    /// A dry run stays one with `--yes`.
    pub(super) fn of(yes: bool, dry_run: bool) -> Self {
        match (yes, dry_run) {
            (_, true) => Self::DryRun,
            (true, false) => Self::Given,
            (false, false) => Self::Ask,
        }
    }
}

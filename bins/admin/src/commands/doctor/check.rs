//! One line of the report of `doctor`.

use serde::Serialize;

/// Result of one check. Contains no secret.
#[derive(Serialize)]
pub(super) struct Check {
    pub(super) check: &'static str,
    pub(super) state: CheckState,
    pub(super) found: String,
    /// `null` if nothing needs to be done.
    pub(super) advice: Option<String>,
}

/// The order matters: the report's state is the maximum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CheckState {
    Ok,
    /// A server works, but not for long or not well.
    Warning,
    /// Do not start a server.
    Failed,
}

impl Check {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: CheckState::Ok, found: found.into(), advice: None }
    }

    pub(super) fn warning(
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { check, state: CheckState::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    pub(super) fn failed(
        check: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { check, state: CheckState::Failed, found: found.into(), advice: Some(advice.into()) }
    }
}

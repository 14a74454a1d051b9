//! The columns of each command that prints a list.
//!
//! A column has the name of the member in JSON, in every format. A test compares the names with the
//! results.

use crate::suggest::closest;

/// The columns of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// Words of the command.
    pub command: &'static str,
    /// Member of the result with the list.
    pub list: &'static str,
    /// Always in a table.
    shown: &'static [&'static str],
    /// In a table if the terminal is wide enough.
    more: &'static [&'static str],
    /// In a table with `--wide` or `--columns` alone.
    wide: &'static [&'static str],
}

const LAYOUTS: [Layout; 9] = [
    Layout {
        command: "tenant list",
        list: "tenants",
        shown: &["id", "name", "status", "created_at"],
        more: &[],
        wide: &[],
    },
    Layout {
        command: "workspace list",
        list: "workspaces",
        shown: &["id", "name", "status", "created_at"],
        more: &["tenant_id"],
        wide: &[],
    },
    Layout {
        command: "key list",
        list: "api_keys",
        shown: &["id", "name", "tenant_name", "status", "last_used_at"],
        more: &["workspace_name", "expires_at", "scopes", "origins", "created_at", "revoked_at"],
        wide: &["tenant_id", "workspace_id"],
    },
    Layout {
        command: "events count",
        list: "workspaces",
        shown: &["id", "name", "events"],
        more: &[],
        wide: &[],
    },
    Layout {
        command: "events list",
        list: "events",
        shown: &["timestamp", "event_name", "event_id"],
        more: &["user_id", "anonymous_id", "type", "workspace_id"],
        wide: &[
            "session_id",
            "received_at",
            "sent_timestamp",
            "schema_version",
            "tenant_id",
            "properties",
            "traits",
            "context",
            "enrichment",
        ],
    },
    Layout {
        command: "rejections list",
        list: "rejections",
        shown: &["received_at", "event_name", "codes", "event_id"],
        more: &["user_id", "anonymous_id", "api_key_id", "protocol", "workspace_id"],
        wide: &["request_id", "sdk", "user_agent", "tenant_id", "id", "is_cut", "errors", "event"],
    },
    Layout {
        command: "audit list",
        list: "audit_log",
        shown: &["recorded_at", "actor", "command", "outcome", "detail"],
        more: &["tenant_id", "api_key_id", "workspace_id"],
        wide: &["database_role"],
    },
    Layout {
        command: "doctor",
        list: "checks",
        shown: &["check", "state", "found", "advice"],
        more: &[],
        wide: &[],
    },
    Layout {
        command: "config",
        list: "settings",
        shown: &["name", "value", "source"],
        more: &["default", "unit", "range"],
        wide: &["is_secret"],
    },
];

impl Layout {
    /// Returns the layout of a command; `None` if it prints no list.
    pub(crate) fn of(command: &str) -> Option<&'static Self> {
        LAYOUTS.iter().find(|layout| layout.command == command)
    }

    /// All columns, the important ones first.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static str> {
        [self.shown, self.more, self.wide].into_iter().flatten().copied()
    }

    /// Columns of a table by default; the first ones are always shown.
    pub(super) fn default_columns(&self) -> Vec<&'static str> {
        [self.shown, self.more].concat()
    }

    /// Columns of a table that are shown on a narrow terminal too.
    pub(super) fn fewest(&self) -> usize {
        self.shown.len()
    }

    /// Reads the names of `--columns`, separated by commas.
    ///
    /// # Errors
    /// One message for each unknown name.
    pub(crate) fn read_columns(&self, text: &str) -> Result<Vec<&'static str>, Vec<String>> {
        let mut columns = Vec::new();
        let mut errors = Vec::new();
        for name in text.split(',').map(str::trim) {
            match self.columns().find(|column| *column == name) {
                Some(column) => columns.push(column),
                None => errors.push(self.unknown(name)),
            }
        }
        if errors.is_empty() { Ok(columns) } else { Err(errors) }
    }

    fn unknown(&self, name: &str) -> String {
        let advice = match closest(name, self.columns()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("use {}", self.columns().collect::<Vec<_>>().join(", ")),
        };
        format!("--columns: there is no column {name:?}: {advice}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_column_is_refused_with_the_name_meant() {
        let layout = Layout::of("tenant list").unwrap();
        assert_eq!(layout.read_columns("name, id"), Ok(vec!["name", "id"]));
        let errors = layout.read_columns("nam,id,x").unwrap_err();
        let expected = [
            "--columns: there is no column \"nam\": did you mean name?",
            "--columns: there is no column \"x\": use id, name, status, created_at",
        ];
        assert_eq!(errors, expected);
        assert_eq!(layout.read_columns("").unwrap_err().len(), 1);
    }
}

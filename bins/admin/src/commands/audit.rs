//! `audit …`: reads the audit log. The store writes it with each change; this file adds the
//! entries of commands that take several transactions or fail.

use mercurio_domain::store::{AuditEntry, AuditOutcome, AuditRecord, Store};
use mercurio_domain::{ApiKeyId, Timestamp};
use serde::Serialize;

use super::report::Report;
use crate::cli::AuditCommand;
use crate::database;
use crate::error::AdminError;
use crate::machine::Machine;

/// Newest first.
#[derive(Serialize)]
struct AuditOutput {
    audit_log: Vec<EntryOutput>,
}

#[derive(Serialize)]
struct EntryOutput {
    recorded_at: Timestamp,
    actor: String,
    database_role: Option<String>,
    command: String,
    outcome: &'static str,
    tenant_id: Option<String>,
    workspace_id: Option<String>,
    api_key_id: Option<ApiKeyId>,
    detail: String,
}

impl From<AuditRecord> for EntryOutput {
    fn from(record: AuditRecord) -> Self {
        let AuditRecord { recorded_at, actor, database_role, command, entry } = record;
        let AuditEntry { tenant_id, workspace_id, api_key_id, detail, outcome } = entry;
        Self {
            recorded_at,
            actor,
            database_role,
            command,
            outcome: outcome.as_str(),
            tenant_id: tenant_id.map(|id| id.to_string()),
            workspace_id: workspace_id.map(|id| id.to_string()),
            api_key_id,
            detail,
        }
    }
}

pub(super) fn run(
    store: &dyn Store,
    command: &AuditCommand,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    database::require_schema(store)?;
    let AuditCommand::List { since, limit } = command;
    let since = since.map(|since| since.before(machine.clock.now()));
    let records = store.audit_log(since, *limit)?;
    Report::new(&AuditOutput { audit_log: records.into_iter().map(EntryOutput::from).collect() })
}

/// Records the failure of a command that changes something. Its successful parts have their own
/// entries.
pub(super) fn record_failure(store: &dyn Store, error: &AdminError) {
    // A wrong command line changed nothing, and an unwritable log cannot record that it is so.
    if !matches!(error, AdminError::Usage(_) | AdminError::NotConfirmed) {
        let entry = AuditEntry {
            // Without the causes: they may name hosts and files of the database.
            detail: error.to_string(),
            outcome: AuditOutcome::Failed,
            ..AuditEntry::default()
        };
        store.record(&entry).ok();
    }
}

//! The audit log in memory.

use super::{MemoryState, MemoryStore, lock};
use crate::clock::Timestamp;
use crate::store::{Actor, AuditEntry, AuditLog, AuditRecord, StoreError};

/// 2026-11-22T10:00:00Z, in microseconds.
const FIRST: i64 = 1_795_341_600_000_000;

impl MemoryState {
    /// Adds an entry. Nothing is undone in memory, so it is called after the change.
    pub(super) fn audit(&mut self, entry: AuditEntry) {
        let Some(Actor { name, command }) = self.actor.clone() else { return };
        // A store in memory has no clock: its entries are a second apart.
        let seconds = i64::try_from(self.audit.len()).unwrap_or_default();
        self.audit.push(AuditRecord {
            recorded_at: Timestamp::from_micros_clamped(FIRST + seconds * 1_000_000),
            actor: name,
            database_role: None,
            command,
            entry,
        });
    }
}

impl MemoryStore {
    /// Records the changes from now on as those of `actor`.
    pub fn set_actor(&self, actor: Option<Actor>) {
        lock(&self.state).actor = actor;
    }
}

impl AuditLog for MemoryStore {
    fn record(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.available()?.audit(entry.clone());
        Ok(())
    }

    fn audit_log(
        &self,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let state = self.available()?;
        let recent = state.audit.iter().rev().filter(|record| Some(record.recorded_at) >= since);
        Ok(recent.take(limit).cloned().collect())
    }
}

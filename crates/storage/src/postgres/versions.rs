//! Migrations of PostgreSQL: one process at a time, and without blocking writers for long.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mercurio_domain::store::{Actor, AuditEntry, LockWait, OpenTransaction};

use super::shared::audit;
use crate::error::{Error, ErrorKind};
use crate::migrations;

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");
/// Advisory lock for migrations: `mercmigr` in ASCII.
const MIGRATION_LOCK: i64 = 0x6d65_7263_6d69_6772;
/// Maximum wait of a transactional migration for a table lock. Everyone who needs the table later
/// waits behind it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause before the next attempt, in which the others get their turn.
const PAUSE: Duration = Duration::from_secs(1);

/// How the schema is changed.
#[derive(Clone, Copy)]
pub(super) struct Versions<'a> {
    /// How long a migration is retried while others hold its table locks.
    pub(super) timeout: Duration,
    /// Who is recorded in the audit log.
    pub(super) actor: Option<&'a Actor>,
}

impl Versions<'_> {
    /// Applies the missing migrations. Concurrent calls wait, and the lock ends with the session.
    pub(super) fn migrate(
        self,
        connection: &mut PgConnection,
        report: &mut dyn FnMut(&LockWait),
    ) -> Result<Vec<String>, Error> {
        exclusively(connection, |connection| {
            let mut names = Vec::new();
            while let Some(name) =
                with_lock_retries(connection, self.timeout, report, |connection| {
                    migrations::run_next(connection, &MIGRATIONS, |connection, name| {
                        let entry = AuditEntry::migration(name, "applied");
                        audit::record_migration(connection, self.actor, &entry)
                    })
                })?
            {
                names.push(name);
            }
            Ok(names)
        })
    }

    /// Reverts the newest migration. Concurrent calls wait.
    pub(super) fn revert(
        self,
        connection: &mut PgConnection,
        report: &mut dyn FnMut(&LockWait),
    ) -> Result<Option<String>, Error> {
        exclusively(connection, |connection| {
            with_lock_retries(connection, self.timeout, report, |connection| {
                migrations::revert_last(connection, &MIGRATIONS, |connection, name| {
                    let entry = AuditEntry::migration(name, "reverted");
                    audit::record_migration(connection, self.actor, &entry)
                })
            })
        })
    }
}

/// Prepares a connection for a migration.
///
/// `CREATE INDEX CONCURRENTLY` runs outside a transaction and gets no timeout: it waits for open
/// transactions without blocking anyone, and leaves an invalid index if cancelled.
pub(super) fn prepare(connection: &mut PgConnection, in_transaction: bool) -> QueryResult<()> {
    let timeout = if in_transaction { LOCK_TIMEOUT } else { Duration::ZERO };
    connection.batch_execute(&format!("SET lock_timeout = {}", timeout.as_millis()))
}

/// Runs `work` under the advisory lock, waiting for it as long as needed.
fn exclusively<T>(
    connection: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    connection.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
    // After an error the lock ends with the session, which the caller drops.
    let value = work(connection)?;
    connection.batch_execute(&format!(
        // The caller goes on to create partitions on this connection.
        "SET lock_timeout = 0; SELECT pg_advisory_unlock({MIGRATION_LOCK})"
    ))?;
    Ok(value)
}

/// Retries `attempt` while others hold its table locks, up to `timeout`.
///
/// A pending exclusive lock blocks everyone who comes later, so one long reader would stop all
/// writers. Hence an attempt ends after [`LOCK_TIMEOUT`], and those who waited get their turn.
fn with_lock_retries<T>(
    connection: &mut PgConnection,
    timeout: Duration,
    report: &mut dyn FnMut(&LockWait),
    mut attempt: impl FnMut(&mut PgConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let error = match attempt(connection) {
            Ok(value) => return Ok(value),
            Err(error) if error.kind != ErrorKind::Conflict => return Err(error),
            Err(error) => error,
        };
        // The connection stays usable: the failed attempt was rolled back.
        let left = timeout.saturating_sub(start.elapsed());
        // Another attempt after the pause would start beyond the timeout.
        if left < PAUSE {
            let message = format!(
                "{} (gave up after {attempts} attempts in {} s; nothing was changed)",
                error.message,
                timeout.as_secs()
            );
            return Err(Error { message, ..error });
        }
        // The report is a courtesy: without the open transactions, the migration goes on.
        let open = open_transactions(connection).unwrap_or_default();
        report(&LockWait { attempts, left, open });
        std::thread::sleep(PAUSE);
    }
}

/// The oldest transactions open for longer than an attempt. Only a superuser sees those of other
/// roles.
fn open_transactions(connection: &mut PgConnection) -> Result<Vec<OpenTransaction>, Error> {
    let sql = format!(
        "SELECT pid, extract(epoch FROM now() - xact_start)::bigint AS seconds FROM pg_catalog.pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND xact_start < now() - interval '{} milliseconds'
         ORDER BY xact_start LIMIT 3",
        LOCK_TIMEOUT.as_millis()
    );
    let rows: Vec<TransactionRow> = diesel::sql_query(sql).load(connection)?;
    let open = rows.into_iter().map(|TransactionRow { pid, seconds }| OpenTransaction {
        pid,
        age: Duration::from_secs(seconds.unsigned_abs()),
    });
    Ok(open.collect())
}

#[derive(QueryableByName)]
struct TransactionRow {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = BigInt)]
    seconds: i64,
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::Bool;
    use diesel_migrations::FileBasedMigrations;

    use super::*;
    use crate::testing::{TestDatabase, wait_until};

    #[test]
    fn concurrent_index_waits_for_writers_without_a_timeout() {
        let (database, folder) = (TestDatabase::postgres(), tempfile::tempdir().unwrap());
        // A date after all real migrations.
        let migration = folder.path().join("2099-01-01-000000_index");
        std::fs::create_dir(&migration).unwrap();
        for (name, text) in [
            ("up.sql", "CREATE INDEX CONCURRENTLY later ON tenants (created_at)"),
            ("down.sql", "DROP INDEX CONCURRENTLY later"),
            ("metadata.toml", "run_in_transaction = false"),
        ] {
            std::fs::write(migration.join(name), text).unwrap();
        }
        let source = FileBasedMigrations::from_path(folder.path()).unwrap();
        let [mut writer, mut watcher, mut connection] =
            [(); 3].map(|()| PgConnection::establish(&database.url_text()).unwrap());
        // The lock of an INSERT, held longer than an attempt in a transaction would wait.
        writer.batch_execute("BEGIN; LOCK TABLE tenants IN ROW EXCLUSIVE MODE").unwrap();
        let ending = std::thread::spawn(move || {
            let waiting = format!(
                "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                     AND wait_event_type = 'Lock'
                     AND clock_timestamp() - query_start > interval '{} milliseconds')",
                LOCK_TIMEOUT.as_millis()
            );
            // The writer cannot look: a transaction keeps the activity of its first look.
            wait_until("the index waits longer than an attempt", || {
                diesel::select(diesel::dsl::sql::<Bool>(&waiting)).get_result(&mut watcher).unwrap()
            });
            writer.batch_execute("COMMIT").unwrap();
        });
        let name = migrations::run_next(&mut connection, &source, |_, _| Ok(()));
        ending.join().unwrap();
        assert_eq!(name.ok().flatten().as_deref(), Some("2099-01-01-000000_index"));
        // A cancelled CREATE INDEX CONCURRENTLY leaves an invalid index.
        let is_valid = diesel::dsl::sql::<Bool>(
            "indisvalid FROM pg_index WHERE indexrelid = 'later'::regclass",
        );
        assert!(diesel::select(is_valid).get_result::<bool>(&mut connection).unwrap());
    }
}

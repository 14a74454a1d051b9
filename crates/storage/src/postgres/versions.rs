//! The versions of PostgreSQL's schema: which it has, and how it gets from one to the next.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mercurio_domain::store::{LockWait, SchemaState};

use super::schema::schema_compatibility;
use crate::error::{Failed, Failure, Fault};
use crate::migrations;
use crate::pool::failed;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");
/// The number of the lock under which migrations run: `mercmigr` in ASCII.
const MIGRATION_LOCK: i64 = 0x6d65_7263_6d69_6772;
/// How long a migration in a transaction waits for a lock on a table, and everybody who comes after it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it stays out of the way then.
const PAUSE: Duration = Duration::from_secs(1);

/// How the schema stands to this program's. Changes nothing, not even an empty database.
pub(super) fn state(connection: &mut PgConnection) -> Result<SchemaState, Failure> {
    let applied = applied(connection)?;
    migrations::state::<Pg>(&MIGRATIONS, applied, || minimum(connection))
}

/// The versions of the migrations that the database has.
fn applied(connection: &mut PgConnection) -> Result<Vec<String>, Failure> {
    diesel::table! {
        __diesel_schema_migrations (version) {
            version -> Text,
        }
    }
    if !has_table(connection, "__diesel_schema_migrations")? {
        return Ok(Vec::new());
    }
    Ok(__diesel_schema_migrations::table
        .select(__diesel_schema_migrations::version)
        .load(connection)?)
}

/// The oldest version that a program must know, where the database says so.
fn minimum(connection: &mut PgConnection) -> Result<Option<String>, Failure> {
    if !has_table(connection, "schema_compatibility")? {
        return Ok(None);
    }
    Ok(schema_compatibility::table
        .select(schema_compatibility::minimum_version)
        .first(connection)
        .optional()?)
}

fn has_table(connection: &mut PgConnection, name: &str) -> Result<bool, Failure> {
    let is_there = diesel::dsl::sql::<Bool>(&format!("to_regclass('{name}') IS NOT NULL"));
    Ok(diesel::select(is_there).get_result(connection)?)
}

/// Runs the migrations that the database lacks, under a lock that others wait for. It ends with the session, if not before.
pub(super) fn migrate(
    connection: &mut PgConnection,
    patience: Duration,
    tell: &mut dyn FnMut(&LockWait),
) -> Result<Vec<String>, Failed> {
    alone(connection, |connection| {
        let mut names = Vec::new();
        while let Some(name) = patiently(connection, patience, tell, |connection| {
            migrations::run_next(connection, &MIGRATIONS)
        })? {
            names.push(name);
        }
        Ok(names)
    })
}

/// Takes the newest migration back, under the lock under which migrations run.
pub(super) fn revert(
    connection: &mut PgConnection,
    patience: Duration,
    tell: &mut dyn FnMut(&LockWait),
) -> Result<Option<String>, Failed> {
    alone(connection, |connection| {
        patiently(connection, patience, tell, |connection| {
            migrations::revert_last(connection, &MIGRATIONS)
        })
    })
}

/// Readies a connection for a migration. One that runs outside of a transaction, to build an index beside writers, waits for those that
/// are open and holds nobody up; cut off, it would leave an index that is none.
pub(super) fn prepare(connection: &mut PgConnection, in_transaction: bool) -> QueryResult<()> {
    let timeout = if in_transaction { LOCK_TIMEOUT } else { Duration::ZERO };
    connection.batch_execute(&format!("SET lock_timeout = {}", timeout.as_millis()))
}

/// Runs `work` while nobody else migrates, and waits for that as long as it must.
fn alone<T>(
    connection: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let execute = |connection: &mut PgConnection, sql: &str| {
        connection.batch_execute(sql).map_err(|error| failed::<PgConnection>(error.into()))
    };
    execute(connection, &format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
    let done = work(connection)?;
    execute(
        connection,
        &format!("SET lock_timeout = 0; SELECT pg_advisory_unlock({MIGRATION_LOCK})"),
    )?;
    Ok(done)
}

/// Tries again where others hold a lock. Whoever waits for an exclusive lock on a table holds up all that come after it, so that one long
/// reader would stop every writer: a try ends soon, and between two of them those who waited get their turn.
fn patiently<T>(
    connection: &mut PgConnection,
    patience: Duration,
    tell: &mut dyn FnMut(&LockWait),
    mut attempt: impl FnMut(&mut PgConnection) -> Result<T, Failure>,
) -> Result<T, Failed> {
    let begun = Instant::now();
    let mut tries = 0;
    loop {
        tries += 1;
        let failed = match attempt(connection) {
            Ok(value) => return Ok(value),
            Err(failure) => failed::<PgConnection>(failure),
        };
        let left = patience.saturating_sub(begun.elapsed());
        if failed.fault != Fault::Conflict {
            return Err(failed);
        }
        if left < PAUSE {
            let reason =
                format!("{} (given up after {tries} tries; it changed nothing)", failed.reason);
            return Err(Failed { reason, ..failed });
        }
        // Whose they are is for people to know; what matters is that it is tried again.
        tell(&LockWait { tries, left, open: open_transactions(connection).unwrap_or_default() });
        std::thread::sleep(PAUSE);
    }
}

/// The transactions that are open for longer than a try, the oldest first. Of other users' only a superuser hears.
fn open_transactions(connection: &mut PgConnection) -> Result<Vec<(i32, Duration)>, Failure> {
    let sql = format!(
        "SELECT pid, extract(epoch FROM now() - xact_start)::bigint AS seconds FROM pg_catalog.pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND xact_start < now() - interval '{} milliseconds'
         ORDER BY xact_start LIMIT 3",
        LOCK_TIMEOUT.as_millis()
    );
    let rows: Vec<OpenTransaction> = diesel::sql_query(sql).load(connection)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.pid, Duration::from_secs(row.seconds.unsigned_abs())))
        .collect())
}

#[derive(QueryableByName)]
struct OpenTransaction {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = BigInt)]
    seconds: i64,
}

#[cfg(test)]
mod tests {
    use diesel_migrations::FileBasedMigrations;

    use super::*;
    use crate::testing::TestDatabase;

    #[test]
    fn an_index_that_is_built_beside_writers_waits_for_them_as_long_as_they_take() {
        let (database, folder) = (TestDatabase::postgres(), tempfile::tempdir().unwrap());
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
        let [mut writer, mut connection] =
            [(); 2].map(|()| PgConnection::establish(&database.url_text()).unwrap());
        writer.batch_execute("BEGIN; LOCK TABLE tenants IN ROW EXCLUSIVE MODE").unwrap();
        let ending = std::thread::spawn(move || {
            std::thread::sleep(LOCK_TIMEOUT + PAUSE);
            writer.batch_execute("COMMIT").unwrap();
        });
        let name = migrations::run_next(&mut connection, &source);
        ending.join().unwrap();
        assert_eq!(name.ok().flatten().as_deref(), Some("2099-01-01-000000_index"));
        let is_valid = diesel::dsl::sql::<Bool>(
            "indisvalid FROM pg_index WHERE indexrelid = 'later'::regclass",
        );
        assert!(diesel::select(is_valid).get_result::<bool>(&mut connection).unwrap());
    }
}

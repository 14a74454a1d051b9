//! Diagnostics of a database.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::store::{Backend, SchemaState};
use mercurio_domain::{Clock, Timestamp};
use mercurio_storage::testing::TestDatabase;
use mercurio_storage::{DatabaseUrl, Diagnostics, diagnose};

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now().into()
    }
}

fn diagnostics(url: &str) -> Diagnostics {
    diagnose(&DatabaseUrl::parse(url).unwrap(), &SystemClock).unwrap().expect("a database")
}

#[test]
fn file_diagnostics_have_schema_and_folder() {
    let found = diagnostics(&TestDatabase::empty_sqlite().url_text());
    assert!(matches!(found.schema, SchemaState::Older(missing) if missing.len() == 1));
    let database = TestDatabase::sqlite();
    let found = diagnostics(&database.url_text());
    assert_eq!((found.backend, &found.schema), (Backend::Sqlite, &SchemaState::Current));
    assert!(found.version.starts_with("3.") && found.size_bytes > 0, "{found:?}");
    assert!(found.folder.unwrap().is_dir() && found.server.is_none());
}

#[test]
fn server_diagnostics_have_clock_partitions_and_rights() {
    let database = TestDatabase::postgres();
    let found = diagnostics(&database.url_text());
    assert_eq!((found.backend, &found.schema), (Backend::Postgres, &SchemaState::Current));
    let server = found.server.unwrap();
    // Both programs run on one machine, so a second is generous.
    assert!(server.clock_ahead_micros.abs() < 1_000_000, "{server:?}");
    assert!(
        !server.is_standby && server.may_make_partitions && server.missing_rights.is_empty(),
        "{server:?}"
    );
    let names: Vec<&str> = server.settings.iter().map(|setting| setting.name.as_str()).collect();
    assert_eq!(names, ["fsync", "full_page_writes", "synchronous_commit"]);

    let mut owner = PgConnection::establish(&database.url_text()).unwrap();
    // Without any partition, today has none.
    let drop_all = "DO $$ DECLARE part regclass; BEGIN
        FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'events'::regclass LOOP
            EXECUTE format('DROP TABLE %s', part);
        END LOOP; END $$";
    owner.batch_execute(drop_all).unwrap();
    assert_eq!(diagnostics(&database.url_text()).server.unwrap().days_ahead, None);
    database.store().migrate().unwrap();
    assert_eq!(diagnostics(&database.url_text()).server.unwrap().days_ahead, Some(7));
}

#[test]
fn missing_rights_of_a_role_are_named() {
    let database = TestDatabase::postgres();
    let role = format!("clerk_{}", std::process::id());
    let mut owner = PgConnection::establish(&database.url_text()).unwrap();
    owner
        .batch_execute(&format!(
            "DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN PASSWORD 'hunter2';
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
             REVOKE DELETE ON event_keys FROM {role}; REVOKE INSERT, UPDATE ON api_keys FROM {role}"
        ))
        .unwrap();
    let url = DatabaseUrl::parse(&database.url_text()).unwrap().to_string();
    let (_, rest) = url.rsplit_once('@').unwrap_or(("", url.trim_start_matches("postgres://")));
    let server = diagnostics(&format!("postgres://{role}:hunter2@{rest}")).server.unwrap();
    owner.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    assert_eq!(
        server.missing_rights,
        ["INSERT on api_keys", "UPDATE on api_keys", "DELETE on event_keys", "BYPASSRLS"]
    );
    assert!(!server.may_make_partitions);
}

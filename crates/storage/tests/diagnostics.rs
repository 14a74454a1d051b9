//! Diagnostics of a database.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::store::{Backend, RowSecurity, SchemaState};
use mercurio_domain::{Clock, Timestamp};
use mercurio_storage::testing::{TestDatabase, wait_until};
use mercurio_storage::{DatabaseUrl, Diagnostics, ServerDiagnostics, diagnose};

use pooler::Pooler;
use server::Server;

#[path = "common/pooler.rs"]
mod pooler;
#[path = "common/server.rs"]
mod server;

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now().into()
    }
}

fn diagnostics(url: &str) -> Diagnostics {
    diagnose(&DatabaseUrl::parse(url).unwrap(), &SystemClock).unwrap().expect("a database")
}

fn server_diagnostics(url: &str) -> ServerDiagnostics {
    diagnostics(url).server.unwrap()
}

#[test]
fn file_diagnostics_have_schema_and_folder() {
    let found = diagnostics(&TestDatabase::empty_sqlite().url_text());
    assert!(matches!(found.schema, SchemaState::Older(missing) if !missing.is_empty()));
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
        !server.is_standby
            && server.may_make_partitions
            && server.missing_rights == Default::default()
            && !server.is_pooled
            && server.row_security == RowSecurity::InForce
            && server.replication.synchronous_names.is_empty(),
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
    assert_eq!(server.missing_rights.server, ["UPDATE (last_used_at) on api_keys", "BYPASSRLS"]);
    assert_eq!(
        server.missing_rights.operator,
        [
            "INSERT on api_keys",
            "UPDATE (expires_at) on api_keys",
            "UPDATE (revoked_at) on api_keys",
            "BYPASSRLS"
        ]
    );
    assert_eq!(server.missing_rights.owner, ["DELETE on event_keys"]);
    assert_eq!(server.row_security, RowSecurity::NotGranted);
    assert!(!server.may_make_partitions);
}

/// The statements in docs/OPERATIONS.md for a role, with another name.
fn documented_role(documented: &str, role: &str) -> String {
    let text = include_str!("../../../docs/OPERATIONS.md");
    let from = text.find(&format!("CREATE ROLE {documented} ")).unwrap();
    let statements = &text[from..from + text[from..].find("```").unwrap()];
    format!("DROP ROLE IF EXISTS {role}; {}", statements.replace(documented, role))
}

/// Diagnostics of a database by a documented role.
fn diagnostics_of_documented_role(documented: &str) -> ServerDiagnostics {
    let database = TestDatabase::postgres();
    let role = format!("{documented}_{}", std::process::id());
    let mut owner = PgConnection::establish(&database.url_text()).unwrap();
    owner.batch_execute(&documented_role(documented, &role)).unwrap();
    let url = database.url_text().replace("postgres@", &format!("{role}@"));
    let server = server_diagnostics(&url);
    owner.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    server
}

#[test]
fn documented_role_of_a_server_lacks_only_rights_of_admins() {
    let server = diagnostics_of_documented_role("mercurio_server");
    assert_eq!(server.missing_rights.server, Vec::<String>::new());
    let operator = &server.missing_rights.operator;
    assert!(operator.contains(&"INSERT on tenants".to_owned()), "{server:?}");
    assert_eq!(server.row_security, RowSecurity::InForce);
    // Only a role with pg_read_all_stats sees standbys.
    assert_eq!(server.replication.streaming, None);
}

#[test]
fn documented_role_of_an_operator_lacks_only_other_rights() {
    let server = diagnostics_of_documented_role("mercurio_operator");
    assert_eq!(server.missing_rights.operator, Vec::<String>::new());
    assert!(server.missing_rights.server.contains(&"INSERT on events".to_owned()), "{server:?}");
    assert!(server.missing_rights.owner.contains(&"DELETE on events".to_owned()), "{server:?}");
    assert_eq!(server.row_security, RowSecurity::InForce);
}

#[test]
fn exempt_reader_takes_row_security_out_of_force() {
    let database = TestDatabase::postgres();
    assert_eq!(server_diagnostics(&database.url_text()).row_security, RowSecurity::InForce);
    // The reader's own attributes belong to the cluster, which other tests use.
    database.execute("ALTER TABLE events DISABLE ROW LEVEL SECURITY");
    assert_eq!(server_diagnostics(&database.url_text()).row_security, RowSecurity::Bypassed);
}

#[test]
fn synchronous_standby_is_counted_while_it_streams() {
    let primary = Server::start("synchronous_standby_names = '*'");
    // No commit is made, so nothing waits for the missing standby.
    let replication = server_diagnostics(&primary.url()).replication;
    assert_eq!((&*replication.synchronous_names, replication.streaming), ("*", Some(0)));
    let _standby = Server::standby_of(&primary);
    wait_until("the standby streams", || {
        server_diagnostics(&primary.url()).replication.streaming == Some(1)
    });
}

#[test]
fn pooler_in_transaction_mode_is_recognised() {
    let server = Server::start("");
    for (mode, is_pooled) in [("transaction", true), ("session", false)] {
        let pooler = Pooler::start(&server, mode);
        // Again, because the pooler keeps its sessions with what the first run left in them.
        for _ in 0..2 {
            assert_eq!(server_diagnostics(&pooler.url()).is_pooled, is_pooled, "{mode}");
        }
    }
}

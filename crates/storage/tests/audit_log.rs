//! The audit log is append-only, and the documented role of an admin can only add to it.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use mercurio_domain::Owner;
use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Scopes};
use mercurio_domain::limits::{LimitChange, LimitName};
use mercurio_domain::store::{
    Actor, AuditOutcome, Deletion, KeyRequest, KeySelection, Removal, Store,
};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::{at, provisioning};
use mercurio_storage::testing::TestDatabase;
use mercurio_storage::{DatabaseUrl, StoreOptions, open};

/// Statements that would change the log.
const CHANGES: [&str; 3] =
    ["UPDATE audit_log SET actor = 'bob'", "DELETE FROM audit_log", "TRUNCATE audit_log"];

fn actor() -> Option<Actor> {
    Some(Actor { name: "alice@db1".to_owned(), command: "test".to_owned() })
}

#[test]
fn audit_log_refuses_changes_even_of_its_owner() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres()] {
        let store = database.store_of(actor().unwrap());
        store.create_tenant(&Name::parse("Acme").unwrap(), at("2026-11-22T10:00:00Z")).unwrap();
        let before = store.audit_log(None, 10).unwrap();
        assert_eq!(before.len(), 1);
        let url = database.url_text();
        for change in CHANGES {
            let refused = match url.strip_prefix("sqlite://") {
                // SQLite has no TRUNCATE.
                Some(_) if change.starts_with("TRUNCATE") => continue,
                Some(path) => SqliteConnection::establish(path).unwrap().batch_execute(change),
                None => PgConnection::establish(&url).unwrap().batch_execute(change),
            };
            let message = refused.unwrap_err().to_string();
            assert!(message.contains("append-only"), "{change}: {message}");
        }
        assert_eq!(store.audit_log(None, 10).unwrap(), before);
    }
}

#[test]
fn change_that_cannot_be_recorded_is_undone() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres()] {
        let store = database.store_of(actor().unwrap());
        database.execute("DROP TABLE audit_log");
        let (name, now) = (Name::parse("Acme").unwrap(), at("2026-11-22T10:00:00Z"));
        assert!(store.create_tenant(&name, now).is_err());
        assert!(store.provision(&provisioning("Acme", 1, now).0).is_err());
        assert!(!store.has_tenants().unwrap());
        // A server records nothing, and needs no right to.
        database.store().create_tenant(&name, now).unwrap();
    }
}

/// The statements in docs/OPERATIONS.md that create the role, with another name.
fn documented_role(role: &str) -> String {
    let text = include_str!("../../../docs/OPERATIONS.md");
    let from = text.find("CREATE ROLE mercurio_operator").unwrap();
    let statements = &text[from..from + text[from..].find("```").unwrap()];
    format!("DROP ROLE IF EXISTS {role}; {}", statements.replace("mercurio_operator", role))
}

/// What the role did. Checked after the role is dropped, or a failure would leave it in the cluster.
fn work(store: &dyn Store) -> Result<(), String> {
    let now = at("2026-11-22T10:00:00Z");
    let name = |text: &str| Name::parse(text).unwrap();
    let text = |error: &dyn std::fmt::Debug| format!("{error:?}");
    let made = store.provision(&provisioning("Acme", 1, now).0).map_err(|error| text(&error))?;
    let owner = made.api_key.owner;
    store.suspend_tenant(owner.tenant_id, true).map_err(|error| text(&error))?;
    for value in [Some(5), None] {
        let changes = [LimitChange { name: LimitName::MaxBatchEvents, value }];
        store.set_limits(owner.tenant_id, &changes).map_err(|error| text(&error))?;
    }
    store.create_workspace(owner.tenant_id, &name("Staging"), now).map_err(|error| text(&error))?;
    store.rename_tenant(owner.tenant_id, &name("Acme 2")).map_err(|error| text(&error))?;
    store.rename_workspace(owner, &name("Production")).map_err(|error| text(&error))?;
    let new = NewApiKey::generate(&[2; ENTROPY_BYTES]);
    let request = KeyRequest::new(owner, &new, name("CI"), Scopes::all(), now);
    store.create_api_key(&request).map_err(|error| text(&error))?;
    store.expire_api_key(&new.id, now).map_err(|error| text(&error))?;
    store.revoke_api_key(&new.id, now).map_err(|error| text(&error))?;
    store.events(owner, &Default::default()).map_err(|error| text(&error))?;
    store.count_events(owner).map_err(|error| text(&error))?;
    let removal = Removal::All(Deletion::Workspace(owner));
    store.count_removal(&removal).map_err(|error| text(&error))?;
    store.api_keys(&KeySelection::All).map_err(|error| text(&error))?;
    Ok(())
}

#[test]
fn role_of_an_admin_adds_to_the_log_and_never_changes_it() {
    let database = TestDatabase::postgres();
    let role = format!("operator_{}", std::process::id());
    let mut connection = PgConnection::establish(&database.url_text()).unwrap();
    connection.batch_execute(&documented_role(&role)).unwrap();
    // The test server trusts every role, so only the name changes.
    let url = database.url_text().replace("postgres@", &format!("{role}@"));
    let options = StoreOptions { actor: actor(), ..StoreOptions::default() };
    let store = open(&DatabaseUrl::parse(&url).unwrap(), &options).unwrap();
    let worked = work(&*store);
    let log = store.audit_log(None, 100);
    let first = log.as_ref().ok().and_then(|log| log.last()).unwrap().entry.clone();
    let (tenant_id, workspace_id) = (first.tenant_id.unwrap(), first.workspace_id.unwrap());
    let deletions =
        [Deletion::Tenant(tenant_id), Deletion::Workspace(Owner { tenant_id, workspace_id })];
    let begun =
        deletions.map(|deletion| store.begin_deletion(deletion, at("2026-11-22T10:00:00Z")));
    let mut of_role = PgConnection::establish(&url).unwrap();
    let refused = CHANGES.map(|change| of_role.batch_execute(change).unwrap_err().to_string());
    drop(store);
    drop(of_role);
    connection.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
    assert_eq!(worked, Ok(()));
    let log = log.unwrap();
    assert_eq!(log.len(), 10, "{log:#?}");
    for record in log {
        assert_eq!(record.database_role.as_deref(), Some(&*role));
        assert_eq!(record.entry.outcome, AuditOutcome::Done);
    }
    // A deletion that could not be finished does not begin.
    assert!(begun.iter().all(Result::is_err), "{begun:?}");
    for message in refused {
        assert!(message.contains("permission denied"), "{message}");
    }
}

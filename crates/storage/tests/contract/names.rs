//! Renaming tenants and workspaces, and keys listed with the names of their owners.

use mercurio_domain::TenantId;
use mercurio_domain::limits::{LimitChange, LimitName};
use mercurio_domain::store::{CreateError, KeySelection, TenantRef};
use mercurio_domain::tenant::{Name, TenantStatus};
use mercurio_domain::testing::{provisioning, submission};
use mercurio_domain::{ApiKeyId, Owner, WorkspaceId};

use crate::setup::{Subject, at_once, now};

on_every_store! {
    renamed_tenant_keeps_everything_but_its_name,
    tenant_name_of_another_is_refused,
    tenants_renamed_at_once_get_different_names,
    renamed_workspace_keeps_its_keys_and_events,
    workspace_name_of_another_is_refused,
    keys_are_listed_with_the_names_of_their_owners,
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn renamed_tenant_keeps_everything_but_its_name(subject: &Subject) {
    let store = &subject.store;
    let (request, _) = provisioning("Acme", 1, now());
    let made = store.provision(&request).unwrap();
    store.suspend_tenant(made.tenant.id, true).unwrap();
    subject.append(submission(made.api_key.owner, now(), &["a"]));
    let renamed = store.rename_tenant(made.tenant.id, &name("Émile GmbH")).unwrap();
    assert_eq!((renamed.id, renamed.name.as_str()), (made.tenant.id, "Émile GmbH"));
    assert_eq!(
        (renamed.created_at, renamed.status),
        (made.tenant.created_at, TenantStatus::Suspended)
    );
    // By its folded name, and no longer by the old one.
    let by_name = |text| store.tenant(&TenantRef::Name(name(text))).unwrap();
    assert_eq!(by_name("émile gmbh").map(|found| found.tenant), Some(renamed));
    assert_eq!(by_name("Acme"), None);
    assert_eq!(subject.count(made.api_key.owner), 1);
    assert!(store.find_api_key(&request.key_id).unwrap().is_some());
    // The old name is free, and the case of a name can be changed.
    store.create_tenant(&name("ACME"), now()).unwrap();
    let renamed = store.rename_tenant(made.tenant.id, &name("ÉMILE GmbH")).unwrap();
    assert_eq!(renamed.name.as_str(), "ÉMILE GmbH");
}

fn tenant_name_of_another_is_refused(subject: &Subject) {
    let store = &subject.store;
    let [first, second] = ["Acme", "Other"].map(|text| store.create_tenant(&name(text), now()));
    let (first, second) = (first.unwrap(), second.unwrap());
    for taken in ["Other", " oTHER "] {
        let refused = store.rename_tenant(first.id, &name(taken));
        assert!(matches!(refused, Err(CreateError::NameTaken)), "{taken}: {refused:?}");
    }
    let unknown = store.rename_tenant(TenantId(4711), &name("Third"));
    assert!(matches!(unknown, Err(CreateError::NoOwner)), "{unknown:?}");
    assert_eq!(store.tenants(None, 10).unwrap(), [first, second]);
}

fn tenants_renamed_at_once_get_different_names(subject: &Subject) {
    let store = &subject.store;
    for round in 0..10 {
        let ids = ["a", "b"]
            .map(|text| store.create_tenant(&name(&format!("{text} {round}")), now()).unwrap().id);
        let renamed =
            at_once(2, |thread| store.rename_tenant(ids[thread], &name(&format!("same {round}"))));
        let taken = |done: &&Result<_, CreateError>| matches!(done, Err(CreateError::NameTaken));
        assert_eq!(renamed.iter().filter(taken).count(), 1, "{renamed:?}");
        assert_eq!(renamed.iter().filter(|done| done.is_ok()).count(), 1, "{renamed:?}");
    }
}

fn renamed_workspace_keeps_its_keys_and_events(subject: &Subject) {
    let store = &subject.store;
    let (request, _) = provisioning("Acme", 1, now());
    let made = store.provision(&request).unwrap();
    let owner = made.api_key.owner;
    subject.append(submission(owner, now(), &["a"]));
    let renamed = store.rename_workspace(owner, &name("Production")).unwrap();
    assert_eq!((renamed.id, renamed.tenant_id), (owner.workspace_id, owner.tenant_id));
    assert_eq!((renamed.created_at, renamed.is_deleting), (made.workspace.created_at, false));
    assert_eq!(store.workspaces(owner.tenant_id).unwrap(), [renamed]);
    assert_eq!(store.find_api_key(&request.key_id).unwrap().unwrap().owner, owner);
    assert_eq!(subject.count(owner), 1);
    let renamed = store.rename_workspace(owner, &name("PRODUCTION")).unwrap();
    assert_eq!(renamed.name.as_str(), "PRODUCTION");
    store.create_workspace(owner.tenant_id, &name("Default"), now()).unwrap();
}

fn workspace_name_of_another_is_refused(subject: &Subject) {
    let store = &subject.store;
    let (owner, stranger) = (subject.owner(), subject.owner());
    store.create_workspace(owner.tenant_id, &name("Staging"), now()).unwrap();
    let before = store.workspaces(owner.tenant_id).unwrap();
    let refused = store.rename_workspace(owner, &name(" sTAGING"));
    assert!(matches!(refused, Err(CreateError::NameTaken)), "{refused:?}");
    for wrong in [
        Owner { workspace_id: stranger.workspace_id, ..owner },
        Owner { workspace_id: WorkspaceId(4711), ..owner },
        Owner { tenant_id: TenantId(4711), ..owner },
    ] {
        let refused = store.rename_workspace(wrong, &name("Third"));
        assert!(matches!(refused, Err(CreateError::NoOwner)), "{wrong:?}: {refused:?}");
    }
    assert_eq!(store.workspaces(owner.tenant_id).unwrap(), before);
    // Another tenant may use the name.
    store.rename_workspace(stranger, &name("Staging")).unwrap();
}

/// Tenant, workspace and a limit of the selected keys.
fn listed(subject: &Subject, which: &KeySelection) -> Vec<String> {
    let mut lines = Vec::new();
    for found in subject.store.api_keys(which).unwrap() {
        // The same key as servers see it.
        let seen = subject.store.find_api_key(&found.key.id).unwrap();
        assert_eq!(seen.as_ref(), Some(&found.key));
        let limit = found.key.tenant_limits.get(LimitName::MaxBatchEvents);
        lines.push(format!("{} {} {limit:?}", found.tenant, found.workspace));
    }
    lines
}

fn keys_are_listed_with_the_names_of_their_owners(subject: &Subject) {
    let store = &subject.store;
    assert_eq!(store.api_keys(&KeySelection::All).unwrap(), []);
    let (first, second) = (provisioning("Acme", 1, now()).0, provisioning("Other", 2, now()).0);
    let (acme, other) = (store.provision(&first).unwrap(), store.provision(&second).unwrap());
    let limit = LimitChange { name: LimitName::MaxBatchEvents, value: Some(7) };
    store.set_limits(other.tenant.id, &[limit]).unwrap();
    store.rename_workspace(other.api_key.owner, &name("Production")).unwrap();
    let list = |which| listed(subject, &which);
    let (of_acme, of_other) =
        ("Acme Default None".to_owned(), "Other Production Some(7)".to_owned());
    assert_eq!(list(KeySelection::All), [of_acme.clone(), of_other.clone()]);
    assert_eq!(list(KeySelection::Tenant(acme.tenant.id)), [of_acme]);
    assert_eq!(list(KeySelection::Tenant(TenantId(4711))), [""; 0]);
    assert_eq!(list(KeySelection::Key(second.key_id)), [of_other]);
    assert_eq!(list(KeySelection::Key(ApiKeyId::new("' OR 1 = 1 --"))), [""; 0]);
}

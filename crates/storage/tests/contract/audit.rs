//! The audit log: an entry for every change, none without a change, and none that changes later.

use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Origins, Scopes};
use mercurio_domain::limits::{LimitChange, LimitName};
use mercurio_domain::store::{
    AuditEntry, AuditOutcome, AuditRecord, CreateError, Deletion, KeyRequest, Removal,
};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::provisioning;
use mercurio_domain::{ApiKeyId, Owner, TenantId, WorkspaceId};

use crate::setup::{Subject, actor, after, now};

on_every_store! {
    every_change_of_the_catalog_is_recorded,
    change_that_fails_or_changes_nothing_is_not_recorded,
    entries_are_read_newest_first_since_a_time,
}

/// All entries, oldest first.
fn log(subject: &Subject) -> Vec<AuditRecord> {
    let mut records = subject.store.audit_log(None, usize::MAX).unwrap();
    records.reverse();
    records
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn of_tenant(id: TenantId, detail: &str) -> AuditEntry {
    AuditEntry { tenant_id: Some(id), detail: detail.to_owned(), ..AuditEntry::default() }
}

fn of_key(owner: Owner, key: &ApiKeyId, detail: &str) -> AuditEntry {
    AuditEntry {
        workspace_id: Some(owner.workspace_id),
        api_key_id: Some(key.clone()),
        ..of_tenant(owner.tenant_id, detail)
    }
}

fn every_change_of_the_catalog_is_recorded(subject: &Subject) {
    let store = &subject.store;
    let (request, secret) = provisioning("Acme", 1, now());
    let made = store.provision(&request).unwrap();
    let (id, owner) = (made.tenant.id, made.api_key.owner);
    let other = store.create_tenant(&name("Other"), now()).unwrap();
    store.suspend_tenant(id, true).unwrap();
    store.suspend_tenant(id, false).unwrap();
    let unset = LimitChange { name: LimitName::MaxBodyBytes, value: None };
    let set = LimitChange { name: LimitName::MaxBatchEvents, value: Some(7) };
    store.set_limits(id, &[set, unset]).unwrap();
    let staging = store.create_workspace(other.id, &name("Staging"), now()).unwrap();
    store.rename_tenant(other.id, &name("Others")).unwrap();
    let staging_owner = Owner { tenant_id: other.id, workspace_id: staging.id };
    store.rename_workspace(staging_owner, &name("Test")).unwrap();
    let new = NewApiKey::generate(&[2; ENTROPY_BYTES]);
    let request = KeyRequest::new(owner, &new, name("CI"), Scopes::all(), now());
    store.create_api_key(&KeyRequest { expires_at: Some(after(60)), ..request }).unwrap();
    let site = NewApiKey::generate(&[3; ENTROPY_BYTES]);
    let origins = Origins::parse("https://a.example,https://*.a.example").unwrap();
    let request = KeyRequest::new(owner, &site, name("Site"), Scopes::WITH_ORIGINS, now());
    store.create_api_key(&KeyRequest { origins: Some(origins), ..request }).unwrap();
    store.expire_api_key(&new.id, after(30)).unwrap();
    store.revoke_api_key(&new.id, now()).unwrap();
    store.begin_deletion(Deletion::Tenant(id), now()).unwrap();
    store.remove_events(&Removal::All(Deletion::Tenant(id)), now(), None).unwrap();
    store.finish_deletion(Deletion::Tenant(id)).unwrap();
    store.begin_deletion(Deletion::Workspace(staging_owner), now()).unwrap();
    store.finish_deletion(Deletion::Workspace(staging_owner)).unwrap();

    let expected = [
        of_key(
            owner,
            &made.api_key.id,
            "tenant \"Acme\" with workspace \"Default\", 0 samples and key \"Default API key\" created \
             for events:write,events:read without an end",
        ),
        of_tenant(other.id, "tenant \"Other\" created"),
        of_tenant(id, "tenant \"Acme\" is suspended"),
        of_tenant(id, "tenant \"Acme\" is active"),
        of_tenant(id, "max_batch_events=7, max_body_bytes unset"),
        AuditEntry {
            workspace_id: Some(staging.id),
            ..of_tenant(other.id, "workspace \"Staging\" created")
        },
        of_tenant(other.id, "tenant \"Other\" renamed to \"Others\""),
        AuditEntry {
            workspace_id: Some(staging.id),
            ..of_tenant(other.id, "workspace \"Staging\" renamed to \"Test\"")
        },
        of_key(
            owner,
            &new.id,
            "key \"CI\" created for events:write,events:read until 2026-11-22T10:01:00.123456Z",
        ),
        of_key(
            owner,
            &site.id,
            "key \"Site\" created for events:write on pages of https://a.example,https://*.a.example \
             without an end",
        ),
        of_key(owner, &new.id, "key \"CI\" ends at 2026-11-22T10:00:30.123456Z"),
        of_key(owner, &new.id, "key \"CI\" revoked"),
        AuditEntry {
            outcome: AuditOutcome::Started,
            ..of_tenant(id, "deletion of tenant \"Acme\"")
        },
        of_tenant(
            id,
            "deletion removed 0 events, 0 event keys, 0 rejections, 1 workspaces and 3 API keys",
        ),
        AuditEntry {
            workspace_id: Some(staging.id),
            outcome: AuditOutcome::Started,
            ..of_tenant(other.id, "deletion of workspace \"Test\"")
        },
        AuditEntry {
            workspace_id: Some(staging.id),
            ..of_tenant(
                other.id,
                "deletion removed 0 events, 0 event keys, 0 rejections, 1 workspaces and 0 API keys",
            )
        },
    ];
    let records = log(subject);
    for (record, expected) in records.iter().zip(&expected) {
        assert_eq!(record.entry, *expected);
        assert_eq!((&*record.actor, &*record.command), ("alice@db1", "contract"));
        assert!(!format!("{record:?}").contains(secret.expose()));
    }
    assert_eq!(records.len(), expected.len(), "{records:#?}");
}

fn change_that_fails_or_changes_nothing_is_not_recorded(subject: &Subject) {
    let store = &subject.store;
    store.provision(&provisioning("Acme", 1, now()).0).unwrap();
    let before = log(subject);
    let taken = store.provision(&provisioning("acme", 2, now()).0);
    assert!(matches!(taken, Err(CreateError::NameTaken)));
    let unknown = TenantId(4711);
    assert!(store.create_tenant(&name("ACME"), now()).is_err());
    assert!(store.create_workspace(unknown, &name("W"), now()).is_err());
    assert_eq!(store.suspend_tenant(unknown, true).unwrap(), None);
    assert_eq!(store.set_limits(unknown, &[]).unwrap(), None);
    assert_eq!(store.revoke_api_key(&ApiKeyId::new("unknown"), now()).unwrap(), None);
    assert_eq!(store.expire_api_key(&ApiKeyId::new("unknown"), now()).unwrap(), None);
    assert_eq!(store.begin_deletion(Deletion::Tenant(unknown), now()).unwrap(), None);
    assert_eq!(store.finish_deletion(Deletion::Tenant(unknown)).unwrap(), None);
    assert!(store.rename_tenant(unknown, &name("New")).is_err());
    let nowhere = Owner { tenant_id: unknown, workspace_id: WorkspaceId(4711) };
    assert!(store.rename_workspace(nowhere, &name("New")).is_err());
    assert_eq!(store.begin_deletion(Deletion::Workspace(nowhere), now()).unwrap(), None);
    assert_eq!(store.finish_deletion(Deletion::Workspace(nowhere)).unwrap(), None);
    assert_eq!(log(subject), before);
}

fn entries_are_read_newest_first_since_a_time(subject: &Subject) {
    let outcomes = [AuditOutcome::Started, AuditOutcome::Failed, AuditOutcome::Done];
    for (number, outcome) in outcomes.into_iter().cycle().take(7).enumerate() {
        let entry = AuditEntry { detail: number.to_string(), outcome, ..AuditEntry::default() };
        subject.store.record(&entry).unwrap();
    }
    let read = |since, limit| subject.store.audit_log(since, limit).unwrap();
    let all = read(None, usize::MAX);
    let details: Vec<&str> = all.iter().map(|record| &*record.entry.detail).collect();
    assert_eq!(details, ["6", "5", "4", "3", "2", "1", "0"]);
    assert_eq!(all[0].entry.outcome, AuditOutcome::Started);
    assert_eq!(read(None, 2), all[..2]);
    let since = all[3].recorded_at;
    let expected: Vec<_> =
        all.iter().filter(|record| record.recorded_at >= since).cloned().collect();
    assert!(expected.len() >= 4);
    assert_eq!(read(Some(since), usize::MAX), expected);
    let later = all[0].recorded_at.checked_add_micros(1);
    assert_eq!(read(later, usize::MAX), []);
    assert_eq!(all[0].actor, actor().name);
}

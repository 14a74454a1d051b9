//! Tenants, workspaces and keys.

use std::slice;
use std::time::Duration;

use mercurio_domain::api_key::{ApiKey, ENTROPY_BYTES, KeyUse, NewApiKey, Origins, Scopes};
use mercurio_domain::limits::{LimitChange, LimitName, LimitOverrides};
use mercurio_domain::store::{
    Backend, CatalogChange, CreateError, Deletion, KeyRequest, KeySelection, MAX_TAIL_TEXT_BYTES,
    TenantDetails, TenantRef,
};
use mercurio_domain::tenant::{Name, TenantStatus};
use mercurio_domain::testing::{enriched, provisioning};
use mercurio_domain::{ApiKeyId, Owner, TenantId, Timestamp};
use mercurio_storage::testing::wait_until;

use crate::setup::{Subject, after, at_once, now};

on_every_store! {
    fresh_store_is_ready_and_has_no_tenant,
    tenant_is_created_with_its_workspace_and_key,
    samples_are_stored_with_the_tenant,
    tenant_name_ignores_case_and_surrounding_space,
    tenant_name_requested_concurrently_is_taken_once,
    provisioning_with_a_taken_name_leaves_nothing,
    tenant_is_found_by_name_or_id,
    tenants_are_listed_by_id_in_pages,
    suspension_shows_on_all_keys_of_the_tenant,
    limits_are_set_and_reset_one_by_one,
    workspace_names_are_unique_within_a_tenant,
    key_needs_an_existing_workspace,
    key_keeps_its_origins,
    key_expiry_is_never_extended,
    key_keeps_its_latest_use,
    listener_receives_every_change_but_no_key_uses,
    listeners_receive_texts_of_tails,
    key_is_found_by_its_exact_id_only,
    revoked_key_keeps_its_first_time,
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn fresh_store_is_ready_and_has_no_tenant(subject: &Subject) {
    subject.store.ping().unwrap();
    assert!(subject.store.schema_state().unwrap().is_usable());
    assert_eq!(subject.store.migrate().unwrap(), Vec::<String>::new());
    assert!(!subject.store.has_tenants().unwrap());
    subject.owner();
    assert!(subject.store.has_tenants().unwrap());
}

fn tenant_is_created_with_its_workspace_and_key(subject: &Subject) {
    let (request, secret) = provisioning("Quake Watch É", 1, now());
    let made = subject.store.provision(&request).unwrap();
    assert_eq!((&made.tenant.name, made.tenant.status), (&request.tenant, TenantStatus::Active));
    assert_eq!(
        (&made.workspace.name, made.workspace.tenant_id),
        (&request.workspace, made.tenant.id)
    );
    assert_eq!(made.api_key.owner.tenant_id, made.tenant.id);
    assert_eq!(made.api_key.owner.workspace_id, made.workspace.id);
    assert_eq!(
        [made.tenant.created_at, made.workspace.created_at, made.api_key.created_at],
        [now(); 3]
    );
    assert_eq!(made.samples, 0);
    let key = subject.store.find_api_key(&request.key_id).unwrap().unwrap();
    assert_eq!(key, made.api_key);
    assert_eq!(
        (key.scopes, key.name, key.expires_at, key.revoked_at),
        (request.scopes, request.key_name, None, None)
    );
    let presented = mercurio_domain::api_key::PresentedKey::parse(secret.expose()).unwrap();
    assert!(presented.matches(&key.secret_hash));
}

fn samples_are_stored_with_the_tenant(subject: &Subject) {
    let (mut request, _) = provisioning("Acme", 1, now());
    request.samples =
        // A repeated id among the samples is stored once.
        vec![enriched("a", "e", now()), enriched("b", "e", after(-1)), enriched("a", "e", now())];
    let made = subject.store.provision(&request).unwrap();
    assert_eq!(made.samples, 2);
    assert_eq!(subject.count(made.api_key.owner), 2);
}

fn tenant_name_ignores_case_and_surrounding_space(subject: &Subject) {
    let provision = |name: &str, seed| subject.store.provision(&provisioning(name, seed, now()).0);
    provision("Éclair Acme", 1).unwrap();
    for (seed, taken) in (2..).zip([
        "Éclair Acme",
        "éCLAIR aCME",
        "  Éclair Acme\t",
        // Two characters for É, and full-width letters.
        "E\u{301}clair Acme",
        "Éclair Ａｃｍｅ",
    ]) {
        assert!(matches!(provision(taken, seed), Err(CreateError::NameTaken)), "{taken}");
    }
    // Inner spaces and accents distinguish names.
    for (seed, free) in (10..).zip(["Éclair  Acme", "Eclair Acme", "ÉclairAcme"]) {
        provision(free, seed).unwrap();
    }
}

fn tenant_name_requested_concurrently_is_taken_once(subject: &Subject) {
    for round in 0..10_u8 {
        let made = at_once(2, |thread| {
            let seed = 2 * round + u8::try_from(thread).unwrap();
            let name = if thread == 0 { format!("acme {round}") } else { format!("ACME {round}") };
            let (mut request, _) = provisioning(&name, seed, now());
            request.samples = vec![enriched("a", "e", now())];
            subject.store.provision(&request)
        });
        let taken = made.iter().filter(|made| matches!(made, Err(CreateError::NameTaken))).count();
        assert_eq!((taken, made.iter().filter(|made| made.is_ok()).count()), (1, 1), "{made:?}");
    }
}

fn provisioning_with_a_taken_name_leaves_nothing(subject: &Subject) {
    subject.store.provision(&provisioning("Acme", 1, now()).0).unwrap();
    let (request, _) = provisioning("acme", 2, now());
    assert!(subject.store.provision(&request).is_err());
    assert_eq!(subject.store.find_api_key(&request.key_id).unwrap(), None);
    // The same request succeeds with another name.
    let (mut request, _) = provisioning("Acme 2", 2, now());
    request.samples = vec![enriched("a", "e", now())];
    assert_eq!(subject.store.provision(&request).unwrap().samples, 1);
}

fn tenant_is_found_by_name_or_id(subject: &Subject) {
    let made = subject.store.provision(&provisioning("Acme", 1, now()).0).unwrap();
    subject.owner();
    let found =
        Some(TenantDetails { tenant: made.tenant.clone(), limits: LimitOverrides::default() });
    for which in [TenantRef::Name(name("aCME")), TenantRef::Id(made.tenant.id)] {
        assert_eq!(subject.store.tenant(&which).unwrap(), found, "{which:?}");
    }
    for which in [
        TenantRef::Name(name("Acm")),
        TenantRef::Id(TenantId(i64::MAX)),
        TenantRef::Id(TenantId(-1)),
    ] {
        assert_eq!(subject.store.tenant(&which).unwrap(), None, "{which:?}");
    }
    assert_eq!(subject.store.workspaces(made.tenant.id).unwrap(), [made.workspace]);
}

fn tenants_are_listed_by_id_in_pages(subject: &Subject) {
    let made: Vec<_> = (0..7)
        .map(|number| subject.store.create_tenant(&name(&format!("T{number}")), now()).unwrap())
        .collect();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = subject.store.tenants(after, 3).unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        listed.extend(page);
    }
    assert_eq!(listed, made);
    assert!(matches!(subject.store.create_tenant(&name("t3"), now()), Err(CreateError::NameTaken)));
}

fn suspension_shows_on_all_keys_of_the_tenant(subject: &Subject) {
    let (request, _) = provisioning("Acme", 1, now());
    let made = subject.store.provision(&request).unwrap();
    let (other, _) = provisioning("Other", 2, now());
    subject.store.provision(&other).unwrap();
    let status = |id| subject.store.find_api_key(id).unwrap().unwrap().tenant_status;
    for (suspended, expected) in [
        (true, TenantStatus::Suspended),
        (true, TenantStatus::Suspended),
        (false, TenantStatus::Active),
    ] {
        let tenant = subject.store.suspend_tenant(made.tenant.id, suspended).unwrap().unwrap();
        assert_eq!((tenant.status, status(&request.key_id)), (expected, expected));
        assert_eq!(status(&other.key_id), TenantStatus::Active);
    }
    assert_eq!(subject.store.suspend_tenant(TenantId(4711), true).unwrap(), None);
}

fn keys(subject: &Subject, tenant_id: TenantId) -> Vec<ApiKey> {
    let found = subject.store.api_keys(&KeySelection::Tenant(tenant_id)).unwrap();
    found.into_iter().map(|found| found.key).collect()
}

fn change(name: LimitName, value: Option<u64>) -> LimitChange {
    LimitChange { name, value }
}

fn limits_are_set_and_reset_one_by_one(subject: &Subject) {
    let (request, _) = provisioning("Acme", 1, now());
    let id = subject.store.provision(&request).unwrap().tenant.id;
    let mut expected = LimitOverrides::default();
    // The largest values must fit into the column.
    let all = LimitName::ALL.map(|name| change(name, Some(*name.range().end())));
    let steps = [
        &[change(LimitName::MaxBatchEvents, Some(7))][..],
        &[change(LimitName::MaxBatchEvents, Some(8)), change(LimitName::EventsPerSecond, Some(0))],
        &[change(LimitName::MaxBatchEvents, None), change(LimitName::MaxBodyBytes, None)],
        &all,
        &[],
    ];
    for changes in steps {
        for LimitChange { name, value } in changes {
            expected.set(*name, *value);
        }
        assert_eq!(subject.store.set_limits(id, changes).unwrap(), Some(expected));
        assert_eq!(subject.store.tenant(&TenantRef::Id(id)).unwrap().unwrap().limits, expected);
        assert_eq!(
            subject.store.find_api_key(&request.key_id).unwrap().unwrap().tenant_limits,
            expected
        );
        assert_eq!(keys(subject, id)[0].tenant_limits, expected);
    }
    let unknown = TenantId(4711);
    let changes = [change(LimitName::MaxBatchEvents, Some(1))];
    assert_eq!(subject.store.set_limits(unknown, &changes).unwrap(), None);
}

fn workspace_names_are_unique_within_a_tenant(subject: &Subject) {
    let [first, second] =
        ["A", "B"].map(|text| subject.store.create_tenant(&name(text), now()).unwrap().id);
    let create = |tenant, text: &str| subject.store.create_workspace(tenant, &name(text), after(1));
    let staging = create(first, "Staging").unwrap();
    assert_eq!(
        (staging.tenant_id, staging.name.as_str(), staging.created_at),
        (first, "Staging", after(1))
    );
    assert!(matches!(create(first, " sTAGING "), Err(CreateError::NameTaken)));
    let other = create(second, "Staging").unwrap();
    assert!(matches!(create(TenantId(4711), "Staging"), Err(CreateError::NoOwner)));
    let production = create(first, "Production").unwrap();
    assert_eq!(subject.store.workspaces(first).unwrap(), [staging, production]);
    assert_eq!(subject.store.workspaces(second).unwrap(), [other]);
    assert_eq!(subject.store.workspaces(TenantId(4711)).unwrap(), []);
}

fn key_of(owner: Owner, seed: u8, expires_at: Option<Timestamp>) -> KeyRequest {
    let new = NewApiKey::generate(&[seed; ENTROPY_BYTES]);
    KeyRequest {
        expires_at,
        ..KeyRequest::new(owner, &new, name("another"), Scopes::all(), after(1))
    }
}

fn key_needs_an_existing_workspace(subject: &Subject) {
    let first = subject.store.provision(&provisioning("Acme", 1, now()).0).unwrap().api_key;
    let other = subject.store.provision(&provisioning("Other", 2, now()).0).unwrap().api_key;
    let made = subject.store.create_api_key(&key_of(first.owner, 3, Some(after(60)))).unwrap();
    assert_eq!(
        (made.owner, made.expires_at, made.last_used_at),
        (first.owner, Some(after(60)), None)
    );
    assert_eq!(subject.store.find_api_key(&made.id).unwrap().as_ref(), Some(&made));
    assert_eq!(keys(subject, first.owner.tenant_id), [first.clone(), made]);
    for wrong in [
        Owner { workspace_id: other.owner.workspace_id, ..first.owner },
        Owner { tenant_id: other.owner.tenant_id, ..first.owner },
        Owner { tenant_id: TenantId(4711), ..first.owner },
    ] {
        assert!(
            matches!(
                subject.store.create_api_key(&key_of(wrong, 4, None)),
                Err(CreateError::NoOwner)
            ),
            "{wrong:?}"
        );
    }
    assert_eq!(keys(subject, other.owner.tenant_id), [other]);
}

fn key_keeps_its_origins(subject: &Subject) {
    let first = subject.store.provision(&provisioning("Acme", 1, now()).0).unwrap().api_key;
    assert_eq!(first.origins, None);
    let origins = Origins::parse("https://shop.example,https://*.shop.example:8443").unwrap();
    let bound = KeyRequest {
        scopes: Scopes::WITH_ORIGINS,
        origins: Some(origins.clone()),
        ..key_of(first.owner, 3, None)
    };
    let made = subject.store.create_api_key(&bound).unwrap();
    assert_eq!(made.origins.as_ref(), Some(&origins));
    assert_eq!(subject.store.find_api_key(&made.id).unwrap().as_ref(), Some(&made));
    assert_eq!(keys(subject, first.owner.tenant_id), [first, made.clone()]);
    let ended = subject.store.expire_api_key(&made.id, after(60)).unwrap().unwrap();
    assert_eq!(ended.origins, Some(origins));
}

fn key_expiry_is_never_extended(subject: &Subject) {
    let key = subject.store.provision(&provisioning("Acme", 1, now()).0).unwrap().api_key;
    // Seconds from now: earlier wins, even one in the past.
    for (asked, expected) in [(60, 60), (90, 60), (30, 30), (-5, -5)] {
        let changed = subject.store.expire_api_key(&key.id, after(asked)).unwrap().unwrap();
        assert_eq!(changed.expires_at, Some(after(expected)));
        assert_eq!(subject.store.find_api_key(&key.id).unwrap(), Some(changed));
    }
    assert_eq!(subject.store.expire_api_key(&ApiKeyId::new("unknown"), now()).unwrap(), None);
}

fn key_keeps_its_latest_use(subject: &Subject) {
    let [first, second] = [("Acme", 1), ("Other", 2)].map(|(tenant, seed)| {
        subject.store.provision(&provisioning(tenant, seed, now()).0).unwrap().api_key.id
    });
    let used = |id| subject.store.find_api_key(id).unwrap().unwrap().last_used_at;
    subject.store.note_key_uses(&[]).unwrap();
    assert_eq!(used(&first), None);
    // A use reported late does not move the time back.
    for (at, expected) in [(5, 5), (3, 5), (9, 9)] {
        let uses = [
            KeyUse { key_id: second.clone(), used_at: after(1) },
            KeyUse { key_id: ApiKeyId::new("unknown"), used_at: now() },
            KeyUse { key_id: first.clone(), used_at: after(at) },
        ];
        subject.store.note_key_uses(&uses).unwrap();
        assert_eq!((used(&first), used(&second)), (Some(after(expected)), Some(after(1))));
    }
}

fn listeners_receive_texts_of_tails(subject: &Subject) {
    let mut listeners = [(); 2].map(|()| subject.store.listen().unwrap());
    // Any characters but U+0000, and the longest one.
    let short = "one 1 2 {\"a\":\"'\u{1}\\\\ \u{10348}\"}".to_owned();
    let texts = vec![short, "x".repeat(MAX_TAIL_TEXT_BYTES)];
    subject.store.notify_tail(&texts).unwrap();
    // A change comes through too, in whatever order.
    let made = subject.store.provision(&provisioning("Acme", 1, now()).0).unwrap();
    subject.store.suspend_tenant(made.tenant.id, true).unwrap();
    // One process writes to a SQLite file.
    let expected = if subject.store.backend() == Backend::Sqlite { Vec::new() } else { texts };
    for listener in &mut listeners {
        let (mut received, mut changes) = (Vec::new(), Vec::new());
        wait_until("the texts and the change arrive", || {
            changes.extend(listener.next(Duration::from_secs(5)).unwrap());
            received.extend(listener.take_tail());
            received.len() == expected.len() && !changes.is_empty()
        });
        assert_eq!(received, expected);
    }
}

fn listener_receives_every_change_but_no_key_uses(subject: &Subject) {
    let made = subject.store.provision(&provisioning("Acme", 1, now()).0).unwrap();
    let id = made.tenant.id;
    let (tenant, key) = (CatalogChange::Tenant(id), CatalogChange::ApiKey(made.api_key.id.clone()));
    let mut listener = subject.store.listen().unwrap();
    let store = &subject.store;
    let [limit, no_limit] = [Some(5), None].map(|value| change(LimitName::MaxBatchEvents, value));
    let key_use = KeyUse { key_id: made.api_key.id.clone(), used_at: now() };
    let owner = made.api_key.owner;
    let workspace = Deletion::Workspace(owner);
    let changes: [(&dyn Fn(), Option<&CatalogChange>); 9] = [
        (&|| drop(store.suspend_tenant(id, true).unwrap()), Some(&tenant)),
        (&|| assert!(store.set_limits(id, &[limit]).unwrap().is_some()), Some(&tenant)),
        (&|| assert!(store.set_limits(id, &[no_limit]).unwrap().is_some()), Some(&tenant)),
        (&|| drop(store.revoke_api_key(&made.api_key.id, now()).unwrap()), Some(&key)),
        (&|| store.note_key_uses(slice::from_ref(&key_use)).unwrap(), None),
        (&|| drop(store.expire_api_key(&made.api_key.id, now()).unwrap()), Some(&key)),
        (&|| drop(store.rename_tenant(id, &name("Renamed")).unwrap()), Some(&tenant)),
        (&|| drop(store.rename_workspace(owner, &name("Renamed")).unwrap()), None),
        (&|| assert!(store.begin_deletion(workspace, now()).unwrap().is_some()), Some(&tenant)),
    ];
    for (number, (change, expected)) in changes.into_iter().enumerate() {
        change();
        let wait =
            // Long for a change on a busy machine, short for the one that must not come.
            if expected.is_some() { Duration::from_secs(20) } else { Duration::from_millis(300) };
        let received = listener.next(wait).unwrap();
        match expected {
            Some(expected) => {
                assert!(!received.is_empty(), "{number}");
                for change in &received {
                    assert!(change == expected || *change == CatalogChange::Anything, "{number}");
                }
            }
            None => assert_eq!(received, [], "{number}"),
        }
    }
    // A new key is a change too: a server may have cached its absence.
    let other = subject.other_workspace(owner);
    store.create_api_key(&key_of(other, 3, None)).unwrap();
    assert!(!listener.next(Duration::from_secs(20)).unwrap().is_empty());
}

fn key_is_found_by_its_exact_id_only(subject: &Subject) {
    let (request, _) = provisioning("Acme", 1, now());
    subject.store.provision(&request).unwrap();
    let id = request.key_id.as_str();
    for other in [&id[1..], &id.to_uppercase(), "", "' OR 1 = 1 --", &format!("{id} ")] {
        assert_eq!(subject.store.find_api_key(&ApiKeyId::new(other)).unwrap(), None, "{other}");
    }
    assert!(subject.store.find_api_key(&request.key_id).unwrap().is_some());
}

fn revoked_key_keeps_its_first_time(subject: &Subject) {
    let (request, _) = provisioning("Acme", 1, now());
    subject.store.provision(&request).unwrap();
    let (other, _) = provisioning("Other", 2, now());
    subject.store.provision(&other).unwrap();
    for seconds in [5, 9, 1] {
        let revoked =
            subject.store.revoke_api_key(&request.key_id, after(seconds)).unwrap().unwrap();
        assert_eq!(revoked.revoked_at, Some(after(5)));
        assert_eq!(subject.store.find_api_key(&request.key_id).unwrap(), Some(revoked));
    }
    assert_eq!(subject.store.find_api_key(&other.key_id).unwrap().unwrap().revoked_at, None);
    assert_eq!(subject.store.revoke_api_key(&ApiKeyId::new("unknown"), now()).unwrap(), None);
}

//! Tenants, workspaces and keys.

use mercurio_domain::ApiKeyId;
use mercurio_domain::store::{ProvisionError, SchemaState};
use mercurio_domain::tenant::{Name, TenantStatus};
use mercurio_domain::testing::{enriched, provisioning};

use crate::setup::{Subject, after, at_once, now};

on_every_store! {
    a_fresh_store_is_ready_and_has_no_tenant,
    a_tenant_is_made_with_its_workspace_and_key,
    samples_are_stored_with_the_tenant,
    a_name_is_taken_without_regard_to_case_and_surrounding_space,
    of_two_who_want_a_name_at_once_one_gets_it,
    a_name_that_was_taken_leaves_nothing_behind,
    a_tenant_is_found_by_its_name_and_its_workspace_too,
    a_key_is_found_by_its_id_alone,
    a_revoked_key_keeps_its_first_time,
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn a_fresh_store_is_ready_and_has_no_tenant(subject: &Subject) {
    subject.store.ping().unwrap();
    assert_eq!(subject.store.schema_state().unwrap(), SchemaState::Current);
    assert_eq!(subject.store.migrate().unwrap(), Vec::<String>::new());
    assert!(!subject.store.has_tenants().unwrap());
    subject.owner();
    assert!(subject.store.has_tenants().unwrap());
}

fn a_tenant_is_made_with_its_workspace_and_key(subject: &Subject) {
    let (request, secret) = provisioning("Quake Watch É", 1, now());
    let made = subject.store.provision(&request).unwrap();
    assert_eq!((&made.tenant.name, made.tenant.status), (&request.tenant, TenantStatus::Active));
    assert_eq!((&made.workspace.name, made.workspace.tenant_id), (&request.workspace, made.tenant.id));
    assert_eq!(made.api_key.owner.tenant_id, made.tenant.id);
    assert_eq!(made.api_key.owner.workspace_id, made.workspace.id);
    assert_eq!([made.tenant.created_at, made.workspace.created_at, made.api_key.created_at], [now(); 3]);
    assert_eq!(made.samples, 0);
    let key = subject.store.find_api_key(&request.key_id).unwrap().unwrap();
    assert_eq!(key, made.api_key);
    assert_eq!((key.scopes, key.name, key.expires_at, key.revoked_at), (request.scopes, request.key_name, None, None));
    let presented = mercurio_domain::api_key::PresentedKey::parse(secret.expose()).unwrap();
    assert!(presented.matches(&key.secret_hash));
}

fn samples_are_stored_with_the_tenant(subject: &Subject) {
    let (mut request, _) = provisioning("Acme", 1, now());
    request.samples = vec![enriched("a", "e", now()), enriched("b", "e", after(-1)), enriched("a", "e", now())];
    let made = subject.store.provision(&request).unwrap();
    assert_eq!(made.samples, 2);
    assert_eq!(subject.count(made.api_key.owner), 2);
}

fn a_name_is_taken_without_regard_to_case_and_surrounding_space(subject: &Subject) {
    let provision = |name: &str, seed| subject.store.provision(&provisioning(name, seed, now()).0);
    provision("Éclair Acme", 1).unwrap();
    for (seed, taken) in (2..).zip(["Éclair Acme", "éCLAIR aCME", "  Éclair Acme\t"]) {
        assert!(matches!(provision(taken, seed), Err(ProvisionError::NameTaken)), "{taken}");
    }
    for (seed, free) in (10..).zip(["Éclair  Acme", "Eclair Acme", "ÉclairAcme"]) {
        provision(free, seed).unwrap();
    }
}

fn of_two_who_want_a_name_at_once_one_gets_it(subject: &Subject) {
    for round in 0..10_u8 {
        let made = at_once(2, |thread| {
            let seed = 2 * round + u8::try_from(thread).unwrap();
            let name = if thread == 0 { format!("acme {round}") } else { format!("ACME {round}") };
            let (mut request, _) = provisioning(&name, seed, now());
            request.samples = vec![enriched("a", "e", now())];
            subject.store.provision(&request)
        });
        let taken = made.iter().filter(|made| matches!(made, Err(ProvisionError::NameTaken))).count();
        assert_eq!((taken, made.iter().filter(|made| made.is_ok()).count()), (1, 1), "{made:?}");
    }
}

fn a_name_that_was_taken_leaves_nothing_behind(subject: &Subject) {
    subject.store.provision(&provisioning("Acme", 1, now()).0).unwrap();
    let (request, _) = provisioning("acme", 2, now());
    assert!(subject.store.provision(&request).is_err());
    assert_eq!(subject.store.find_api_key(&request.key_id).unwrap(), None);
    // The same request goes through under another name.
    let (mut request, _) = provisioning("Acme 2", 2, now());
    request.samples = vec![enriched("a", "e", now())];
    assert_eq!(subject.store.provision(&request).unwrap().samples, 1);
}

fn a_tenant_is_found_by_its_name_and_its_workspace_too(subject: &Subject) {
    let made = subject.store.provision(&provisioning("Acme", 1, now()).0).unwrap();
    subject.owner();
    let find = |tenant, workspace| subject.store.find_tenant(&name(tenant), &name(workspace)).unwrap();
    assert_eq!(find("aCME", "DEFAULT"), Some((made.tenant.clone(), Some(made.workspace))));
    assert_eq!(find("Acme", "Staging"), Some((made.tenant, None)));
    assert_eq!(find("Acm", "Default"), None);
}

fn a_key_is_found_by_its_id_alone(subject: &Subject) {
    let (request, _) = provisioning("Acme", 1, now());
    subject.store.provision(&request).unwrap();
    let id = request.key_id.as_str();
    for other in [&id[1..], &id.to_uppercase(), "", "' OR 1 = 1 --", &format!("{id} ")] {
        assert_eq!(subject.store.find_api_key(&ApiKeyId::new(other)).unwrap(), None, "{other}");
    }
    assert!(subject.store.find_api_key(&request.key_id).unwrap().is_some());
}

fn a_revoked_key_keeps_its_first_time(subject: &Subject) {
    let (request, _) = provisioning("Acme", 1, now());
    subject.store.provision(&request).unwrap();
    let (other, _) = provisioning("Other", 2, now());
    subject.store.provision(&other).unwrap();
    for seconds in [5, 9, 1] {
        let revoked = subject.store.revoke_api_key(&request.key_id, after(seconds)).unwrap().unwrap();
        assert_eq!(revoked.revoked_at, Some(after(5)));
        assert_eq!(subject.store.find_api_key(&request.key_id).unwrap(), Some(revoked));
    }
    assert_eq!(subject.store.find_api_key(&other.key_id).unwrap().unwrap().revoked_at, None);
    assert_eq!(subject.store.revoke_api_key(&ApiKeyId::new("nobody"), now()).unwrap(), None);
}

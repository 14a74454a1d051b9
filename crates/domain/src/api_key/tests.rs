//! New, mistyped, expired and revoked keys; lists of scopes.

use super::*;

pub(super) fn new_key() -> NewApiKey {
    // Distinct bytes: 37 is odd, so multiples of it modulo 256 repeat only after 256.
    NewApiKey::generate(&std::array::from_fn(|index| (index * 37 + 11) as u8))
}

#[test]
fn new_key_is_read_back_and_matches_its_hash() {
    let new = new_key();
    let presented = PresentedKey::parse(new.key.expose()).unwrap();
    assert_eq!(presented.id(), &new.id);
    assert!(presented.matches(&new.secret_hash));
    assert_eq!(new.id.as_str().len(), ID_CHARS);
    // `mk_`, the id, `_`, and 36 bytes in base 32.
    assert_eq!(KEY_CHARS, 3 + ID_CHARS + 1 + 58);
    assert_eq!(new.key.expose().len(), KEY_CHARS);
}

#[test]
fn changed_character_is_noticed_without_the_database() {
    let new = new_key();
    let key = new.key.expose();
    for index in 0..key.len() {
        // Characters inside and outside the alphabet, the separator, and an upper-case letter.
        for other in "abz27A_-1 ".chars() {
            let mut changed = key.to_owned();
            changed.replace_range(index..=index, &other.to_string());
            if changed != key {
                assert!(PresentedKey::parse(&changed).is_err(), "{index} {other:?}");
            }
        }
    }
}

#[test]
fn text_of_another_form_is_malformed() {
    let new = new_key();
    let upper = new.key.expose().to_uppercase();
    let long = format!("{}a", new.key.expose());
    for text in ["", "mk_", "mk__", "mk_abc_def", "mk_é_é", &upper, &long] {
        assert!(PresentedKey::parse(text).is_err(), "{text}");
    }
}

#[test]
fn debug_output_hides_the_secret() {
    let new = new_key();
    let secret = new.key.expose().rsplit_once('_').unwrap().1;
    let printed = format!("{new:?} {:?}", PresentedKey::parse(new.key.expose()).unwrap());
    assert!(!printed.contains(secret) && printed.contains("***"), "{printed}");
}

#[test]
fn scopes_are_read_in_any_order_and_printed_in_one() {
    assert_eq!(Scopes::parse("events:read, events:write").unwrap(), Scopes::all());
    assert_eq!(Scopes::all().to_string(), "events:write,events:read");
    assert_eq!(Scopes::parse("events:admin"), Err(ScopesError::Unknown("events:admin".into())));
    assert_eq!(Scopes::parse(" ,"), Err(ScopesError::Empty));
    assert!(!Scopes::parse("events:read").unwrap().contains(Scope::EventsWrite));
}

#[test]
fn key_ends_when_it_expires_or_is_revoked() {
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000).unwrap();
    let new = new_key();
    let key = ApiKey {
        id: new.id,
        owner: Owner { tenant_id: crate::TenantId(1), workspace_id: crate::WorkspaceId(1) },
        name: Name::parse("key").unwrap(),
        scopes: Scopes::all(),
        origins: None,
        secret_hash: new.secret_hash,
        created_at: at(0),
        expires_at: Some(at(10)),
        revoked_at: None,
        last_used_at: None,
        tenant_status: TenantStatus::Active,
        tenant_limits: LimitOverrides::default(),
    };
    // The expiry is exclusive: second 9 is the last valid one.
    assert!(key.is_usable_at(at(9)));
    assert!(!key.is_usable_at(at(10)));
    // A revocation has no beginning: it holds even before its time.
    assert!(!ApiKey { revoked_at: Some(at(5)), ..key }.is_usable_at(at(1)));
}

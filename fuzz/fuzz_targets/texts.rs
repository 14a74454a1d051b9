//! Any text as a header, query or path. Nothing panics, accepted values have the documented form and survive a round trip, and no
//! client can forge its address.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, PresentedKey, Scopes};
use mercurio_domain::event::{EventDraft, Reception};
use mercurio_domain::limits::MAX_SCHEMA_VERSION_CHARS;
use mercurio_domain::schema_version::SchemaVersion;
use mercurio_domain::store::Position;
use mercurio_domain::testing::at;
use mercurio_domain::{EventId, EventKey, TenantId, Timestamp};
use mercurio_enrichment::{ClientIpHeader, TrustedProxies, client_address};
use trace_parent::TraceParent;

/// This file alone: its crate would add loggers and exporters to the build.
#[path = "../../crates/observability/src/tracing/trace_parent.rs"]
mod trace_parent;

fuzz_target!(|input: &[u8]| {
    made_key(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    presented_key(text);
    schema_version(text);
    timestamp(text);
    cursor(text);
    parent(text);
    addresses(text);
    names(text);
    if let Ok(scopes) = Scopes::parse(text) {
        assert_eq!(Scopes::parse(&scopes.to_string()), Ok(scopes));
    }
});

/// A key made from these random bytes is read back, and no similar key is accepted for it.
fn made_key(input: &[u8]) {
    let Some((entropy, [index, byte, ..])) = input.split_first_chunk::<ENTROPY_BYTES>() else {
        return;
    };
    let new = NewApiKey::generate(entropy);
    let key = new.key.expose();
    let presented = PresentedKey::parse(key).expect("a new key");
    assert_eq!(presented.id(), &new.id);
    assert!(presented.matches(&new.secret_hash));
    // Any single changed byte must be noticed.
    let mut changed = key.as_bytes().to_vec();
    let index = usize::from(*index) % changed.len();
    changed[index] = *byte;
    if changed != key.as_bytes()
        && let Ok(changed) = std::str::from_utf8(&changed)
    {
        assert!(PresentedKey::parse(changed).is_err(), "another character at {index} is noticed");
    }
}

fn presented_key(text: &str) {
    if let Ok(key) = PresentedKey::parse(text) {
        let rest = text.strip_prefix("mk_").and_then(|rest| rest.strip_prefix(key.id().as_str()));
        let secret = rest.and_then(|rest| rest.strip_prefix('_')).expect("prefix, id, secret");
        assert!(!format!("{key:?}").contains(secret));
        assert!(
            text.bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
        );
    }
}

fn schema_version(text: &str) {
    if let Ok(version) = SchemaVersion::parse(text) {
        assert_eq!(version.as_str(), text);
        assert!(text.len() <= MAX_SCHEMA_VERSION_CHARS && text.is_ascii());
    }
}

fn timestamp(text: &str) {
    if let Ok(time) = Timestamp::parse(text) {
        let written = time.to_string();
        assert_eq!(written.len(), "2026-11-22T10:00:00.123456Z".len());
        assert_eq!(Timestamp::parse(&written), Ok(time));
        assert_eq!(Timestamp::from_micros(time.as_micros()), Some(time));
        let key = EventKey::of(&EventId::lookup(text));
        let position = Position { occurred_at: time, key };
        assert_eq!(Position::from_cursor(&position.to_cursor()), Ok(position));
    }
}

fn cursor(text: &str) {
    if let Ok(position) = Position::from_cursor(text) {
        assert_eq!(position.to_cursor(), text, "one text for each cursor");
        assert_eq!(Timestamp::parse(&position.occurred_at.to_string()), Ok(position.occurred_at));
    }
}

fn parent(text: &str) {
    if let Some(parent) = TraceParent::parse(text) {
        let (trace, span) = (parent.trace_id(), parent.parent_id());
        for (id, digits) in [(&trace, 32), (&span, 16)] {
            assert!(id.len() == digits && id.bytes().any(|digit| digit != b'0'));
            assert!(
                id.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
            );
        }
        // The id and parent id follow the version of two digits.
        assert!(text[2..].starts_with(&format!("-{trace}-{span}-")));
        let sent_on = format!("00-{trace}-{span}-0{}", u8::from(parent.sampled()));
        let read = TraceParent::parse(&sent_on).expect("a forwarded header is valid");
        assert_eq!(
            (read.trace_id(), read.parent_id(), read.sampled()),
            (trace, span, parent.sampled())
        );
    }
}

/// Whatever a client writes, the result is the address seen by a trusted proxy, or at worst the proxy's own.
fn addresses(text: &str) {
    let trusted = TrustedProxies::parse("10.0.0.0/8").expect("a network");
    let [proxy, client, stranger] = ["10.0.0.1", "203.0.113.9", "198.51.100.7"]
        .map(|text| text.parse::<IpAddr>().expect("an address"));
    let (list, rfc) = (ClientIpHeader::XForwardedFor, ClientIpHeader::Forwarded);
    let single = ClientIpHeader::Single("x-real-ip".to_owned());
    for header in [&list, &rfc, &single] {
        let ignored = client_address(stranger, header, &[text], &trusted);
        assert_eq!(ignored, stranger, "headers of an untrusted peer are ignored");
        let claimed = client_address(proxy, header, &[text], &trusted);
        assert_eq!(claimed, claimed.to_canonical());
    }
    let own_line = format!("for={client}");
    // The proxy's own line comes last, so it decides.
    assert_eq!(client_address(proxy, &rfc, &[text, &own_line], &trusted), client);
    assert_eq!(client_address(proxy, &list, &[text, &client.to_string()], &trusted), client);
    assert_eq!(client_address(proxy, &list, &[&format!("{text}, {client}")], &trusted), client);
    // An open quote from the client swallows the part added by the proxy. Then the whole line is ignored.
    let same_line = client_address(proxy, &rfc, &[&format!("{text}, {own_line}")], &trusted);
    assert!(same_line == client || same_line == proxy, "{text:?} made it {same_line}");
    if let Ok(header) = text.parse::<ClientIpHeader>() {
        assert_eq!(header.name().parse(), Ok(header.clone()));
    }
    if let Ok(networks) = TrustedProxies::parse(text) {
        assert_eq!(
            client_address(client, &list, &[&stranger.to_string()], &networks) == stranger,
            networks.contains(client)
        );
    }
}

/// Accepted ids and names of an event have 1 to 100 characters, no control character, and stay as sent.
fn names(text: &str) {
    let draft = EventDraft {
        event_id: Some(text.into()),
        event_name: Some(text.into()),
        user_id: Some(text.into()),
        ..EventDraft::default()
    };
    let valid_id = draft.valid_event_id();
    let mut errors = Vec::new();
    let reception = Reception::at(at("2026-11-22T10:00:00Z"));
    let new_id = || unreachable!("there is an id");
    let event = draft.check("/events/0", &reception, new_id, &mut errors);
    assert_eq!(event.is_some(), errors.is_empty());
    if let Some(event) = event {
        assert_eq!((event.event_id().as_str(), Some(event.event_id())), (text, valid_id.as_ref()));
        assert!((1..=100).contains(&text.chars().count()) && !text.contains(char::is_control));
    }
    let id = EventId::lookup(text);
    let key = EventKey::of(&id).0;
    assert!(
        key.get_version_num() == 8 || key.to_string() == text,
        "a key is the id or a hash of it"
    );
    let derived = EventId::derived(TenantId(1), text, 0, text.as_bytes());
    assert_eq!(derived.as_str().len(), 36);
    assert_ne!(derived, EventId::derived(TenantId(1), text, 1, text.as_bytes()));
}

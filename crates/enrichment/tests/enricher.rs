//! From a valid event and the client to an enriched event.

use std::net::IpAddr;

use mercurio_domain::event::{EnrichedEvent, EventDraft, Reception, ValidEvent};
use mercurio_domain::payload::RawJson;
use mercurio_domain::testing::at;
use mercurio_domain::{EventId, Timestamp};
use mercurio_enrichment::{
    ClientInfo, ClientIpPolicy, Enricher, EnricherOptions, GeoDatabase, RequestEnrichment,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const FIREFOX: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0";

fn now() -> Timestamp {
    at("2026-11-22T10:00:00Z")
}

fn valid(context: Option<&str>) -> ValidEvent {
    let context = context.map(|text| RawJson::parse(text).expect("a context in JSON"));
    let draft = EventDraft {
        event_id: Some("a".into()),
        event_name: Some("e".into()),
        user_id: Some("u".into()),
        context,
        ..EventDraft::default()
    };
    let mut errors = Vec::new();
    // The event has an id, so the generator is never called.
    let event = draft.check("", &Reception::at(now()), || EventId::lookup(""), &mut errors);
    event.unwrap_or_else(|| panic!("{errors:?}"))
}

fn enricher(client_ip: ClientIpPolicy) -> Enricher {
    let geo =
        GeoDatabase::from_bytes(include_bytes!("data/places.mmdb").to_vec()).expect("a database");
    Enricher::new(EnricherOptions { client_ip, geo: Some(geo) })
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

fn json_of(event: &EnrichedEvent) -> Value {
    serde_json::from_str(event.enrichment().as_str()).expect("JSON")
}

fn from_firefox() -> RequestEnrichment {
    Enricher::new(EnricherOptions::default())
        .request(&ClientInfo { client_ip: None, user_agent: Some(FIREFOX) })
}

fn firefox() -> Value {
    json!({
        "device": {"kind": "desktop"},
        "os": {"name": "Windows", "version": "10"},
        "browser": {"name": "Firefox", "version": "145.0"},
    })
}

#[track_caller]
fn check_added(context: Value, added: Value) {
    let mut expected = firefox();
    for (name, value) in added.as_object().expect("an object") {
        expected[name] = value.clone();
    }
    let request = from_firefox();
    let context = context.to_string();
    // The second event finds the result of the first.
    for _ in 0..2 {
        assert_eq!(json_of(&request.enrich(valid(Some(&context)))), expected, "{context}");
    }
}

#[test]
fn everything_known_of_the_client_is_added() {
    let enricher = enricher(ClientIpPolicy::Truncated);
    let request = enricher.request(&ClientInfo {
        // A socket for both families reports an IPv4 client like this.
        client_ip: address("::ffff:203.0.113.77"),
        user_agent: Some(FIREFOX),
    });
    let mut expected = firefox();
    expected["client_ip"] = json!("203.0.113.0");
    expected["geo"] = json!({"country": "CH", "region": "Zurich", "city": "Zürich", "time_zone": "Europe/Zurich"});
    assert_eq!(json_of(&request.enrich(valid(None))), expected);
}

#[test]
fn client_ip_policy_does_not_change_the_location() {
    for (policy, expected) in [
        (ClientIpPolicy::Full, json!("2001:db8:1::7")),
        (ClientIpPolicy::Truncated, json!("2001:db8:1::")),
        (ClientIpPolicy::None, Value::Null),
    ] {
        let request = enricher(policy)
            .request(&ClientInfo { client_ip: address("2001:db8:1::7"), user_agent: None });
        let added = json_of(&request.enrich(valid(None)));
        assert_eq!(added["client_ip"], expected, "{policy}");
        assert_eq!(added["geo"], json!({"country": "JP", "time_zone": "Asia/Tokyo"}), "{policy}");
    }
}

#[test]
fn unknown_client_adds_nothing() {
    let request = Enricher::new(EnricherOptions::default()).request(&ClientInfo::default());
    for context in
        [None, Some("{}"), Some(r#"{"page":{"title":"t"}}"#), Some(r#"{"page":{"url":"no url"}}"#)]
    {
        assert_eq!(request.enrich(valid(context)).enrichment().as_str(), "{}", "{context:?}");
    }
}

#[test]
fn missing_path_and_campaign_come_from_the_url() {
    let url = "https://a.example/pricing?utm_source=news&utm_campaign=spring%20sale&utm_medium=";
    let (page, campaign) =
        (json!({"path": "/pricing"}), json!({"source": "news", "name": "spring sale"}));
    check_added(json!({"page": {"url": url}}), json!({"page": page, "campaign": campaign}));
    // An empty campaign of the client hides nothing.
    check_added(
        json!({"page": {"url": url}, "campaign": {}}),
        json!({"page": page, "campaign": campaign}),
    );
    check_added(json!({"page": {"url": url, "path": "/mine"}}), json!({"campaign": campaign}));
    check_added(json!({"page": {"url": url}, "campaign": {"name": "mine"}}), json!({"page": page}));
    check_added(
        json!({"page": {"url": url, "path": "/mine"}, "campaign": {"name": "mine"}}),
        json!({}),
    );
    // A value of another type counts as absent.
    check_added(
        json!({"page": {"url": url, "path": 7}, "campaign": "x"}),
        json!({"page": page, "campaign": campaign}),
    );
    check_added(json!({"page": {"url": 7}}), json!({}));
    check_added(json!({"page": url}), json!({}));
}

#[test]
fn user_agent_of_the_context_overrides_the_header() {
    let curl =
        json!({"device": {"kind": "other"}, "browser": {"name": "curl", "version": "8.14.1"}});
    let request = from_firefox();
    assert_eq!(json_of(&request.enrich(valid(Some(r#"{"user_agent":"curl/8.14.1"}"#)))), curl);
    for other in [
        r#"{"user_agent":null}"#,
        r#"{"user_agent":7}"#,
        r#"{"device":{"user_agent":"curl/8.14.1"}}"#,
    ] {
        assert_eq!(json_of(&request.enrich(valid(Some(other)))), firefox(), "{other}");
    }
    // An empty text overrides the header too.
    assert_eq!(json_of(&request.enrich(valid(Some(r#"{"user_agent":""}"#)))), json!({}));
}

#[test]
fn events_of_one_request_share_the_common_text() {
    let request = from_firefox();
    let same_agent = json!({"user_agent": FIREFOX}).to_string();
    let first = request.enrich(valid(None));
    for context in ["{}", r#"{"library":{"name":"x"}}"#, &same_agent] {
        let event = request.enrich(valid(Some(context)));
        assert!(
            std::ptr::eq(first.enrichment().as_str(), event.enrichment().as_str()),
            "{context}"
        );
    }
    let page = Some(r#"{"page":{"url":"https://a.example/"}}"#);
    let (one, other) = (request.enrich(valid(page)), request.enrich(valid(page)));
    assert!(std::ptr::eq(one.enrichment().as_str(), other.enrichment().as_str()));
}

#[test]
fn events_of_different_pages_have_their_own_text() {
    let request = from_firefox();
    // The cache holds one result, so each event replaces that of the one before.
    for path in ["/a", "/b", "/a"] {
        let context = json!({"page": {"url": format!("https://a.example{path}")}}).to_string();
        assert_eq!(json_of(&request.enrich(valid(Some(&context))))["page"]["path"], path);
    }
}

#[test]
fn context_is_kept_as_sent() {
    let context = r#"{ "page":{"url":"https://a.example/x?utm_source=s","path":"/y"}, "user_agent":"curl/8" }"#;
    let event = from_firefox().enrich(valid(Some(context)));
    assert_eq!(event.parts().context.as_ref().map(|context| context.as_str()), Some(context));
}

#[test]
fn debug_output_hides_the_address() {
    let enricher = enricher(ClientIpPolicy::Full);
    let request =
        enricher.request(&ClientInfo { client_ip: address("203.0.113.77"), user_agent: None });
    let printed = format!("{request:?} {enricher:?}");
    assert!(!printed.contains("203.0.113.77"), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_makes_an_object_that_every_database_keeps(url in ".*", query in "[a-z_=&%0-9]*", agent in ".*") {
        let request = Enricher::new(EnricherOptions::default())
            .request(&ClientInfo { client_ip: None, user_agent: Some(&agent) });
        for url in [url, format!("https://a.example/{query}?utm_source=x{query}&utm_term=%00%07{query}")] {
            // The domain refuses a context with a NUL earlier.
            let context = json!({"page": {"url": url.replace('\0', "")}}).to_string();
            let event = request.enrich(valid(Some(&context)));
            prop_assert!(mercurio_domain::payload::JsonObject::parse(event.enrichment().as_str()).is_ok());
        }
    }
}

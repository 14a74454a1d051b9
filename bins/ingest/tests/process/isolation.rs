//! Two tenants, one with two workspaces: each tries every endpoint with ids, cursors and keys of
//! the others.

use mercurio_domain::Owner;
use mercurio_domain::api_key::{NewApiKey, Scopes};
use mercurio_domain::limits::{LimitChange, LimitName};
use mercurio_domain::store::{KeyRequest, Store};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::{at, provisioning};
use mercurio_history::History;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::sender::Sender;
use crate::server::Deployment;

/// A workspace and its key.
struct Principal {
    name: &'static str,
    key: String,
    tenant_id: String,
    workspace_id: String,
}

impl Principal {
    fn own_ids(&self) -> [String; 3] {
        // The first id is shared: every tenant may have an event with it.
        ["shared".to_owned(), format!("{} 1", self.name), format!("{} 2", self.name)]
    }
}

fn second_tenant(store: &dyn Store) -> Principal {
    let (request, key) = provisioning("Other", 2, at("2026-11-22T10:00:00Z"));
    let owner = store.provision(&request).unwrap().api_key.owner;
    let (tenant_id, workspace_id) = (owner.tenant_id.to_string(), owner.workspace_id.to_string());
    Principal { name: "other", key: key.expose().to_owned(), tenant_id, workspace_id }
}

fn second_workspace(store: &dyn Store, tenant_id: &str) -> Principal {
    let now = at("2026-11-22T10:00:00Z");
    let tenant = tenant_id.parse().unwrap();
    let workspace = store.create_workspace(tenant, &Name::parse("Second").unwrap(), now).unwrap();
    let new = NewApiKey::generate(&[7; mercurio_domain::api_key::ENTROPY_BYTES]);
    let owner = Owner { tenant_id: tenant, workspace_id: workspace.id };
    store
        .create_api_key(&KeyRequest::new(
            owner,
            &new,
            Name::parse("Second").unwrap(),
            Scopes::all(),
            now,
        ))
        .unwrap();
    Principal {
        name: "second",
        key: new.key.expose().to_owned(),
        tenant_id: tenant_id.to_owned(),
        workspace_id: workspace.id.to_string(),
    }
}

fn escaped(id: &str) -> String {
    id.replace(' ', "%20").replace('\'', "%27")
}

fn page(client: &mut Client, query: &str, principal: &Principal) -> Response {
    let page = client.get(&format!("/v1/events?{query}"), &principal.key).unwrap();
    assert_eq!(page.status, 200, "{}", page.json);
    page
}

fn ids_of(page: &Value, principal: &Principal) -> Vec<String> {
    let events = page["events"].as_array().unwrap();
    for event in events {
        assert_eq!(event["tenant_id"], principal.tenant_id, "{}: {event}", principal.name);
        assert_eq!(event["workspace_id"], principal.workspace_id, "{}: {event}", principal.name);
    }
    let mut ids: Vec<_> =
        events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn check(deployment: &Deployment) {
    let server = deployment.start();
    let mut client = Client::connect(server.addr).unwrap();
    let store = deployment.database.store();
    let first = store.tenants(None, 1).unwrap().remove(0);
    let workspace_id = store.workspaces(first.id).unwrap()[0].id.to_string();
    let first = Principal {
        name: "first",
        key: deployment.key.clone(),
        tenant_id: first.id.to_string(),
        workspace_id,
    };
    let principals = [second_tenant(&*store), second_workspace(&*store, &first.tenant_id), first];
    let tenants: Vec<_> =
        principals.iter().map(|principal| principal.tenant_id.parse().unwrap()).collect();
    // Limits must differ, or a mix-up of tenants would not show.
    let change = LimitChange { name: LimitName::MaxBatchEvents, value: Some(7) };
    store.set_limits(tenants[0], &[change]).unwrap();

    let mut history = History::default();
    // The last one finds the shared id taken, by the other workspace of its tenant.
    for principal in &principals {
        let owner = Owner {
            tenant_id: principal.tenant_id.parse().unwrap(),
            workspace_id: principal.workspace_id.parse().unwrap(),
        };
        let mut sender = Sender::new(&principal.key, owner);
        let answer = sender.batch(&mut client, &principal.own_ids()).unwrap();
        history.merge(sender.history);
        assert_eq!(answer.status, 200, "{}", answer.json);
        let accepted = if principal.name == "first" { 2 } else { 3 };
        assert_eq!(
            answer.json["accepted"], accepted,
            "an id is unique within a tenant: {}",
            answer.json
        );
    }
    for principal in &principals {
        let own: Vec<String> =
            principal.own_ids()[usize::from(principal.name == "first")..].to_vec();
        let mut sorted = own.clone();
        sorted.sort();
        assert_eq!(ids_of(&page(&mut client, "", principal).json, principal), sorted);
        let cut = page(&mut client, "limit=1", principal);
        let cursor = cut.json["next_cursor"].as_str().unwrap().to_owned();
        for other in principals.iter().filter(|other| other.name != principal.name) {
            // Ids of another workspace.
            for id in other.own_ids().iter().filter(|id| !own.contains(id)) {
                let found =
                    client.get(&format!("/v1/events/{}", escaped(id)), &principal.key).unwrap();
                assert_eq!(found.status, 404, "{} sees {id}: {}", principal.name, found.json);
            }
            // A cursor of another workspace is a point in time, and leads only to the reader's own
            // events.
            let found = ids_of(&page(&mut client, &format!("cursor={cursor}"), other).json, other);
            assert!(found.iter().all(|id| other.own_ids().contains(id)), "{found:?}");
            // The public id of one key with the secret of another.
            let (id, _) = principal.key.rsplit_once('_').unwrap();
            let (_, secret) = other.key.rsplit_once('_').unwrap();
            let mixed = format!("{id}_{secret}");
            for path in ["/v1/events", "/v1/limits", "/v1/events/x"] {
                assert_eq!(client.get(path, &mixed).unwrap().status, 401, "{path}");
            }
            assert_eq!(client.batch(&["x".to_owned()], &mixed).unwrap().status, 401);
            // The body never decides the owner of an event.
            for member in ["tenant_id", "workspace_id"] {
                let value =
                    if member == "tenant_id" { &other.tenant_id } else { &other.workspace_id };
                let event =
                    json!({"event_id": "stolen", "event_name": "n", "user_id": "u", member: value});
                for (path, body) in [
                    ("/v1/events/track", event.to_string()),
                    ("/v1/events/batch", json!({"events": [event]}).to_string()),
                ] {
                    let answer = client.post(path, &principal.key, &body).unwrap();
                    assert_eq!(answer.status, 422, "{}", answer.json);
                    assert!(answer.json.to_string().contains("unknown_field"), "{}", answer.json);
                }
                let query = format!("/v1/events?{member}={value}");
                assert_eq!(
                    client.get(&query, &principal.key).unwrap().json["code"],
                    "invalid_query"
                );
            }
        }
        let limits = client.get("/v1/limits", &principal.key).unwrap().json;
        let expected = if principal.name == "other" { 7 } else { 50 };
        assert_eq!(limits["limits"]["max_batch_events"], expected, "{}", principal.name);
    }
    // In the tables too, each event is in the workspace of its key, and there is no other one.
    deployment.check(&history);
}

#[test]
fn tenants_and_workspaces_are_isolated_on_postgres() {
    check(&Deployment::postgres());
}

#[test]
fn tenants_and_workspaces_are_isolated_on_sqlite() {
    check(&Deployment::sqlite());
}

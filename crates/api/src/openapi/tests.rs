//! The OpenAPI document, compared with the code.

use super::*;
use crate::problem::Problem;
use crate::problem::tests::cases;
use mercurio_protocols::{Protocols, foreign_paths};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn whole() -> Value {
    serde_json::to_value(document()).unwrap()
}

struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    json: &'a Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, json) in item.as_object().unwrap() {
            operations.push(Operation { method, path, json });
        }
    }
    operations
}

/// Resolves a reference such as `#/components/schemas/X`.
fn resolve<'a>(document: &'a Value, reference: &str) -> &'a Value {
    document
        .pointer(reference.trim_start_matches('#'))
        .unwrap_or_else(|| panic!("{reference} does not exist"))
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.insert(reference.clone());
            }
            for value in members.values() {
                collect_references(value, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_references(item, found);
            }
        }
        _ => {}
    }
}

#[test]
fn document_is_openapi_3_1_and_its_references_resolve() {
    let document = whole();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    // Guards against a walk that finds nothing.
    assert!(references.len() > 50);
    for reference in references {
        resolve(&document, &reference);
    }
}

#[test]
fn paths_of_the_document_are_the_served_ones() {
    let mut paths = crate::routes::paths();
    // A redirect to `/docs`, for people.
    assert!(paths.remove("/"), "{paths:?}");
    paths.extend(foreign_paths(Protocols::default()).iter().map(|path| path.path));
    let document = whole();
    let described: BTreeSet<&str> =
        operations(&document).iter().map(|operation| operation.path).collect();
    assert_eq!(described, paths);
}

#[test]
fn operations_have_summaries_and_successes() {
    let document = whole();
    for Operation { method, path, json: operation } in operations(&document) {
        assert!(operation["summary"].is_string(), "{method} {path}");
        let responses = &operation["responses"];
        assert!(
            ["200", "204"].iter().any(|status| responses[status].is_object()),
            "{method} {path}"
        );
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["headers"]["X-Request-Id"].is_object(), "{method} {path}: {status}");
        }
    }
}

#[test]
fn operation_ids_are_unique() {
    let document = whole();
    let operations = operations(&document);
    let ids: BTreeSet<_> =
        operations.iter().map(|operation| operation.json["operationId"].as_str()).collect();
    assert_eq!(ids.len(), operations.len());
}

#[test]
fn operation_ids_name_the_functions_of_clients() {
    let document = whole();
    let ids: BTreeMap<(&str, &str), &str> = operations(&document)
        .iter()
        // Those are named by their paths.
        .filter(|operation| operation.json["tags"][0] != foreign::TAG)
        .map(|operation| {
            ((operation.method, operation.path), operation.json["operationId"].as_str().unwrap())
        })
        .collect();
    // HEAD is not listed: it would double the functions.
    let expected = [
        (("get", "/docs"), "getDocs"),
        (("get", "/docs/{file}"), "getDocsFile"),
        (("get", "/health"), "getHealth"),
        (("get", "/health/live"), "getLiveness"),
        (("get", "/health/ready"), "getReadiness"),
        (("get", "/metrics"), "getMetrics"),
        (("get", "/openapi.json"), "getOpenApi"),
        (("get", "/problems/{code}"), "getProblemPage"),
        (("get", "/v1/events"), "listEvents"),
        (("get", "/v1/events/{event_id}"), "getEvent"),
        (("get", "/v1/feed"), "readFeed"),
        (("get", "/v1/limits"), "getLimits"),
        (("get", "/v1/rejections"), "listRejections"),
        (("get", "/v1/rejections/summary"), "summarizeRejections"),
        (("post", "/v1/events/batch"), "sendBatch"),
        (("post", "/v1/events/track"), "trackEvent"),
    ];
    assert_eq!(ids, BTreeMap::from(expected));
    for path in ["/v1/events/track", "/v1/events/batch"] {
        let link = &document["paths"][path]["post"]["responses"]["200"]["links"]["getEvent"];
        assert_eq!(link["operationId"], "getEvent", "{path}");
    }
}

#[test]
fn key_is_described_as_one_scheme() {
    let document = whole();
    assert_eq!(
        names(&document["components"]["securitySchemes"]),
        BTreeSet::from(["bearer"]),
        "a client would ask for each"
    );
    for Operation { method, path, json: operation } in operations(&document) {
        let is_foreign = operation["tags"][0] == foreign::TAG;
        let stores = operation["summary"].as_str().unwrap().starts_with("Stores");
        let needs_key = if is_foreign { stores } else { path.starts_with("/v1/") };
        if needs_key {
            let bearer = serde_json::json!([{"bearer": []}]);
            assert_eq!(operation["security"], bearer, "{method} {path}");
        } else {
            assert_eq!(operation.get("security"), None, "{method} {path}");
        }
    }
}

#[test]
fn payload_is_an_object_of_any_members() {
    let document = whole();
    let object = &document["components"]["schemas"]["JsonObject"];
    assert_eq!(names(object), BTreeSet::from(["type", "additionalProperties", "description"]));
    assert_eq!(
        (&object["type"], &object["additionalProperties"]),
        (&"object".into(), &true.into())
    );
}

/// Returns every example of a problem by its code, from operations and components.
fn examples(document: &Value) -> BTreeMap<String, Vec<Value>> {
    let mut responses: Vec<&Value> =
        document["components"]["responses"].as_object().unwrap().values().collect();
    for operation in operations(document) {
        responses.extend(operation.json["responses"].as_object().unwrap().values());
    }
    let mut examples: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for response in responses {
        let problems = &response["content"]["application/problem+json"]["examples"];
        for example in problems.as_object().into_iter().flat_map(serde_json::Map::values) {
            let code = example["value"]["code"].as_str().unwrap().to_owned();
            examples.entry(code).or_default().push(example["value"].clone());
        }
    }
    examples
}

#[test]
fn problems_have_schemas_and_examples_with_their_members() {
    let document = whole();
    let examples = examples(&document);
    for case in cases() {
        // One example is enough for all of these.
        if !matches!(case.problem, Problem::Other(_)) {
            check_described(&case.problem, &document, &examples);
        }
    }
}

/// Asserts that `problem` has a schema with all its members, and an example with the same ones.
fn check_described(problem: &Problem, document: &Value, examples: &BTreeMap<String, Vec<Value>>) {
    let code = problem.code();
    let real: Value = serde_json::from_str(&problem.to_json("r-1")).unwrap();
    let members = names(&real);
    let name =
        code.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect::<String>();
    let schema = resolve(document, &format!("#/components/schemas/{name}Problem"));
    let described = names(&schema["properties"]);
    assert!(described.is_superset(&members), "{code}: {members:?} {described:?}");
    for required in schema["required"].as_array().unwrap() {
        assert!(members.contains(required.as_str().unwrap()), "{code}: {required}");
    }
    for fixed in ["type", "status", "code"] {
        assert_eq!(schema["properties"][fixed]["const"], real[fixed], "{code}");
    }
    let examples = examples.get(&code).unwrap_or_else(|| panic!("{code} has no example"));
    assert!(examples.iter().any(|example| names(example) == members), "{code}");
}

fn names(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn optional_members_of_responses_are_not_null() {
    let document = whole();
    let mut optional = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let members = schema["properties"].as_object().into_iter().flatten();
        for (member, schema_of_member) in members {
            let mut required = schema["required"].as_array().into_iter().flatten();
            if name != "Batch" && !required.any(|required| required == member) {
                let text = schema_of_member.to_string();
                assert!(!text.contains("\"null\""), "{name}/{member}: {text}");
                optional += 1;
            }
        }
    }
    // Guards against a walk that finds nothing.
    assert!(optional > 20);
}

#[test]
fn limits_of_the_document_are_those_of_the_code() {
    let document = whole();
    let events = &document["components"]["schemas"]["Batch"]["properties"]["events"];
    assert_eq!((&events["minItems"], &events["maxItems"]), (&1.into(), &50.into()));
    let event = &document["components"]["schemas"]["Event"]["allOf"][0];
    assert_eq!(event["additionalProperties"], false);
    let single = &document["components"]["schemas"]["SingleEvent"]["allOf"][0];
    let mut members: Vec<&String> = single["properties"].as_object().unwrap().keys().collect();
    // In a batch, `sent_at` belongs to the batch.
    members.retain(|member| *member != "sent_at");
    assert_eq!(members, event["properties"].as_object().unwrap().keys().collect::<Vec<_>>());
    assert_eq!(document["components"]["schemas"]["EventId"]["maxLength"], 100);
    assert_eq!(document["components"]["schemas"]["PersonId"]["maxLength"], 255);
}

#[test]
fn body_is_described_as_json_with_its_codings() {
    let document = whole();
    for path in ["/v1/events/track", "/v1/events/batch"] {
        let operation = &document["paths"][path]["post"];
        assert_eq!(
            names(&operation["requestBody"]["content"]),
            BTreeSet::from(["application/json"]),
            "{path}"
        );
        let description = operation["requestBody"]["description"].as_str().unwrap();
        for media_type in crate::body::MEDIA_TYPES.iter().skip(1) {
            assert!(description.contains(media_type), "{media_type}");
        }
        let version = header(operation, "X-Event-Schema-Version");
        // Tools send an example with every request.
        assert_eq!((version.get("example"), version["schema"].get("example")), (None, None));
        let coding = header(operation, "Content-Encoding");
        assert_eq!(coding["required"], false);
        assert_eq!(coding["schema"]["enum"], serde_json::json!(crate::body::CODINGS), "{path}");
    }
}

fn header<'a>(operation: &'a Value, name: &str) -> &'a Value {
    let mut parameters = operation["parameters"].as_array().unwrap().iter();
    let header = parameters.find(|parameter| parameter["name"] == name).unwrap();
    assert_eq!(header["in"], "header");
    header
}

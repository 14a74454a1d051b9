//! The document against the code: nothing that is served is missing in it, and nothing stands in it that is not served.

use super::*;
use crate::problem::Problem;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn whole() -> Value {
    serde_json::to_value(document()).unwrap()
}

/// Every operation, as `(method, path, operation)`.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        })
        .collect()
}

/// The schema that `reference` (`#/components/schemas/X`) names.
fn referred<'a>(document: &'a Value, reference: &str) -> &'a Value {
    document
        .pointer(reference.trim_start_matches('#'))
        .unwrap_or_else(|| panic!("{reference} is not there"))
}

fn all_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.insert(reference.clone());
            }
            members.values().for_each(|value| all_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| all_references(item, found)),
        _ => {}
    }
}

#[test]
fn it_is_openapi_3_1_of_which_every_reference_leads_somewhere() {
    let document = whole();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut references = BTreeSet::new();
    all_references(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        referred(&document, &reference);
    }
}

/// The paths in the sources, from `web::resource("…")` outside tests.
fn served(folder: &Path, paths: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            served(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let found =
                code.split("web::resource(\"").skip(1).filter_map(|rest| rest.split('"').next());
            paths.extend(found.map(str::to_owned));
        }
    }
}

#[test]
fn every_path_that_is_served_is_described_and_no_other() {
    let mut paths = BTreeSet::new();
    served(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes"), &mut paths);
    assert!(paths.contains("/v1/events/{event_id}"), "{paths:?}");
    let document = whole();
    let described: BTreeSet<String> =
        operations(&document).iter().map(|(_, path, _)| (*path).to_owned()).collect();
    assert_eq!(described, paths);
}

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_and_a_success() {
    let document = whole();
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} stands twice");
        assert!(operation["summary"].is_string(), "{method} {path}");
        assert!(operation["responses"]["200"].is_object(), "{method} {path}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["headers"]["X-Request-Id"].is_object(), "{method} {path}: {status}");
        }
    }
}

/// Every example of a problem, by its code: those of operations and of the components.
fn examples(document: &Value) -> BTreeMap<String, Vec<Value>> {
    let mut responses: Vec<&Value> =
        document["components"]["responses"].as_object().unwrap().values().collect();
    for (_, _, operation) in operations(document) {
        responses.extend(operation["responses"].as_object().unwrap().values());
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

/// Fails unless `problem` has a schema with all its members, and an example with the same ones.
#[track_caller]
pub(crate) fn check_described(problem: &Problem) {
    let document = whole();
    let code = problem.code();
    if matches!(problem, Problem::Other(_)) {
        // One stands for all of them.
        return;
    }
    let real: Value = serde_json::from_str(&problem.to_json("r-1")).unwrap();
    let members: BTreeSet<&String> = real.as_object().unwrap().keys().collect();
    let name =
        code.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect::<String>();
    let schema = referred(&document, &format!("#/components/schemas/{name}Problem"));
    let described: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert!(described.is_superset(&members), "{code}: {members:?} {described:?}");
    for required in schema["required"].as_array().unwrap() {
        assert!(members.contains(&required.as_str().unwrap().to_owned()), "{code}: {required}");
    }
    for fixed in ["type", "title", "status", "code"] {
        assert_eq!(
            schema["properties"][fixed]["enum"],
            Value::Array(vec![real[fixed].clone()]),
            "{code}"
        );
    }
    let examples = examples(&document);
    let same =
        |example: &&Value| example.as_object().unwrap().keys().collect::<BTreeSet<_>>() == members;
    assert!(
        examples.get(&code).is_some_and(|examples| examples.iter().any(|example| same(&example))),
        "{code}"
    );
}

#[test]
fn the_limits_of_the_document_are_those_of_the_code() {
    let document = whole();
    let events = &document["components"]["schemas"]["Batch"]["properties"]["events"];
    assert_eq!((&events["minItems"], &events["maxItems"]), (&1.into(), &50.into()));
    let event = &document["components"]["schemas"]["Event"]["allOf"][0];
    assert_eq!(event["additionalProperties"], false);
    let single = &document["components"]["schemas"]["SingleEvent"]["allOf"][0];
    let mut members: Vec<&String> = single["properties"].as_object().unwrap().keys().collect();
    members.retain(|member| *member != "sent_at");
    assert_eq!(members, event["properties"].as_object().unwrap().keys().collect::<Vec<_>>());
    assert_eq!(document["components"]["schemas"]["EventId"]["maxLength"], 100);
    assert_eq!(document["components"]["schemas"]["PersonId"]["maxLength"], 255);
}

#[test]
fn a_body_is_described_as_text_too_with_the_codings_that_are_decoded() {
    let document = whole();
    for path in ["/v1/events/track", "/v1/events/batch"] {
        let operation = &document["paths"][path]["post"];
        let content = operation["requestBody"]["content"].as_object().unwrap();
        assert_eq!(
            content["text/plain"]["schema"], content["application/json"]["schema"],
            "{path}"
        );
        for media_type in content.keys() {
            assert!(crate::body::MEDIA_TYPES.contains(&media_type.as_str()), "{media_type}");
        }
        let mut parameters = operation["parameters"].as_array().unwrap().iter();
        let coding = parameters.find(|parameter| parameter["name"] == "Content-Encoding").unwrap();
        assert_eq!((&coding["in"], &coding["required"]), (&"header".into(), &false.into()));
        assert_eq!(coding["schema"]["enum"], serde_json::json!(crate::body::CODINGS), "{path}");
    }
}

#[test]
fn every_get_is_described_as_head_too_with_the_same_statuses_and_headers_and_no_body() {
    let document = whole();
    let mut heads = 0;
    for item in document["paths"].as_object().unwrap().values() {
        assert_eq!(item.get("get").is_some(), item.get("head").is_some(), "{item}");
        let Some(head) = item.get("head") else { continue };
        for (status, response) in head["responses"].as_object().unwrap() {
            assert!(
                response.get("content").is_none() && response.get("links").is_none(),
                "{status}"
            );
            assert_eq!(response["headers"], item["get"]["responses"][status]["headers"]);
        }
        assert_eq!(head["parameters"], item["get"]["parameters"]);
        assert_eq!(head["security"], item["get"]["security"]);
        heads += 1;
    }
    assert!(heads > 5);
}

//! How requests and answers travel, which is the same for all operations: bodies as text, and `HEAD`.

use utoipa::Modify;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

/// What a body may be sent as beside `application/json`, as far as a document can name it.
const PLAIN_TEXT: &str = "text/plain";

const BODY: &str = "JSON in UTF-8. `text/plain`, any `application/*+json` and a missing `Content-Type` are read as JSON too: \
                    a browser's `sendBeacon` sends those. It may be compressed; see `Content-Encoding`.";

/// Describes every JSON body as text too.
pub(super) struct PlainText;

impl Modify for PlainText {
    fn modify(&self, document: &mut OpenApi) {
        let operations = document.paths.paths.values_mut().filter_map(|item| item.post.as_mut());
        for body in operations.filter_map(|operation| operation.request_body.as_mut()) {
            let RefOr::T(body) = body else { continue };
            body.description = Some(BODY.to_owned());
            if let Some(json) = body.content.get("application/json").cloned() {
                body.content.insert(PLAIN_TEXT.to_owned(), json);
            }
        }
    }
}

/// Describes `HEAD` wherever there is `GET`: the same answer without its body.
pub(super) struct Heads;

impl Modify for Heads {
    fn modify(&self, document: &mut OpenApi) {
        for PathItem { get, head, .. } in document.paths.paths.values_mut() {
            *head = get.as_ref().map(head_of);
        }
    }
}

fn head_of(get: &Operation) -> Operation {
    let mut head = get.clone();
    head.operation_id = get.operation_id.as_ref().map(|id| format!("head_{id}"));
    head.summary = Some("Answers as GET does, without the body.".to_owned());
    head.description = None;
    for response in head.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.clear();
            response.links.clear();
        }
    }
    head
}

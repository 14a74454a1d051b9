//! Rules of the transfer for all operations: JSON bodies as `text/plain`, and `HEAD`.

use utoipa::Modify;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

/// A further media type of JSON bodies. The document cannot list `application/*+json` or a missing `Content-Type`.
const PLAIN_TEXT: &str = "text/plain";

const BODY: &str = "JSON in UTF-8, also as `text/plain` or without a `Content-Type`, as a browser's `sendBeacon` sends it, or as \
                    any `application/*+json`. May be compressed: see `Content-Encoding`.";

/// Adds `text/plain` to every JSON body.
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

/// Adds `HEAD` to every `GET`.
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
    head.summary = Some("Responds like GET, without the body.".to_owned());
    head.description = None;
    for response in head.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            // No body, so no link into it either.
            response.content.clear();
            response.links.clear();
        }
    }
    head
}

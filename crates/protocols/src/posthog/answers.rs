//! Answers of the second capture API, and those to requests without events.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use mercurio_domain::verdict::{FieldError, Outcome, Rejection, Verdict};
use serde::Serialize;

use super::event::{BATCH, Event, Part};
use crate::{Reply, envelope};

/// The configuration of browsers: gzip, and none of the products that need more than events. The
/// members that say so also end what an earlier server had turned on.
const CONFIG: &str = r#"{"supportedCompression":["gzip-js"],"elementsChainAsString":true,"autocapture_opt_out":false,"sessionRecording":false,"heatmaps":false,"capturePerformance":false,"captureDeadClicks":false,"autocaptureExceptions":false,"productTours":false,"conversations":false,"siteApps":[]}"#;

/// No flags, in the forms of all versions. Older browser clients read their configuration here.
const FLAGS: &str = r#"{"flags":{},"featureFlags":{},"featureFlagPayloads":{},"errorsWhileComputingFlags":false,"supportedCompression":["gzip-js"],"config":{"enable_collect_everything":true},"isAuthenticated":false,"toolbarParams":{},"sessionRecording":false,"siteApps":[]}"#;

/// A success, after which a browser sends no recordings for a minute.
const RECORDINGS: &str = r#"{"status":1,"quota_limited":["recordings"]}"#;

pub(super) fn config() -> Reply {
    Reply::json(200, CONFIG)
}

/// Returns a script that hands the configuration to the client, under the key in its own address.
pub(super) fn config_script() -> Reply {
    let script = format!(
        "(function () {{\n  var script = document.currentScript;\n  var key = script && /\\/array\\/([^\\/]+)\\/config\\.js/.exec(script.src);\n  if (!key) return;\n  var all = (window._POSTHOG_REMOTE_CONFIG = window._POSTHOG_REMOTE_CONFIG || {{}});\n  all[key[1]] = {{ config: {CONFIG}, siteApps: [] }};\n}})();\n"
    );
    Reply { content_type: "text/javascript", ..Reply::json(200, script) }
}

pub(super) fn flags() -> Reply {
    Reply::json(200, FLAGS)
}

pub(super) fn recordings() -> Reply {
    Reply::json(200, RECORDINGS)
}

/// The result of an event.
#[derive(Serialize)]
struct EventResult {
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
}

impl EventResult {
    fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Stored(_, Outcome::Accepted) => Self { result: "ok", details: None },
            Verdict::Stored(_, Outcome::Duplicate | Outcome::DuplicateIn(_)) => {
                Self { result: "ok", details: Some("duplicate".to_owned()) }
            }
            Verdict::Rejected(rejection) => {
                Self { result: "drop", details: Some(reasons(&rejection.errors)) }
            }
        }
    }

    fn is_drop(&self) -> bool {
        self.result == "drop"
    }
}

fn reasons(errors: &[FieldError]) -> String {
    errors.iter().map(|error| &*error.message).collect::<Vec<_>>().join("; ")
}

#[derive(Serialize)]
struct Results {
    results: BTreeMap<String, EventResult>,
}

/// Returns the result of each event, under its id.
pub(super) fn results(body: &[u8], verdicts: &[Verdict]) -> Reply {
    let sent_ids = sent_ids(body, verdicts);
    let mut results = BTreeMap::new();
    for (index, verdict) in verdicts.iter().enumerate() {
        let known = match verdict {
            Verdict::Stored(id, _) => Some(id),
            Verdict::Rejected(rejection) => rejection.event_id.as_ref(),
        };
        let id = known.map(|id| id.as_str().to_owned());
        let id = id.or_else(|| sent_ids.get(index).cloned().flatten()).unwrap_or_default();
        let result = EventResult::of(verdict);
        match results.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(result);
            }
            // Two events of one id: the client must learn of the one that is lost.
            Entry::Occupied(mut entry) if result.is_drop() => {
                entry.insert(result);
            }
            Entry::Occupied(_) => {}
        }
    }
    let body = serde_json::to_string(&Results { results });
    debug_assert!(body.is_ok(), "results serialise");
    Reply::json(200, body.unwrap_or_default())
}

fn is_nameless(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Rejected(Rejection { event_id: None, .. }))
}

/// Returns the ids as sent, if one of them is invalid and so not in its rejection.
fn sent_ids(body: &[u8], verdicts: &[Verdict]) -> Vec<Option<String>> {
    if !verdicts.iter().any(is_nameless) {
        return Vec::new();
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let ids = envelope::read(text, &BATCH, verdicts.len(), sent_id);
    ids.map(|batch| batch.items).unwrap_or_default()
}

fn sent_id(mut event: Event<'_>) -> Option<String> {
    event.id(Part::Uuid).map(Cow::into_owned)
}

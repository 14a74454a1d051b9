//! The paths of foreign clients, in one list for routes and documentation.

use crate::endpoint::{Endpoint, Method};
use crate::{Form, Protocol, Protocols};
use crate::{amplitude, cloudevents, mixpanel, otlp, posthog, segment, snowplow};

/// A path, and all that its clients may send there.
#[derive(Debug, Clone)]
pub struct ForeignPath {
    /// The path, without a slash at its end. `{key}` stands for any segment.
    pub path: &'static str,
    /// The forms of `GET` requests; empty without that method.
    pub get: Vec<Form>,
    /// The forms of `POST` requests; empty without that method.
    pub post: Vec<Form>,
}

/// Returns the paths of some protocols. Two protocols may share one.
#[must_use]
pub fn foreign_paths(protocols: Protocols) -> Vec<ForeignPath> {
    let mut paths = Vec::new();
    for protocol in Protocol::ALL.into_iter().filter(|protocol| protocols.contains(*protocol)) {
        match protocol {
            Protocol::Segment => add(&mut paths, segment::ENDPOINTS, Form::Segment),
            Protocol::Jitsu => add(&mut paths, segment::JITSU_ENDPOINTS, Form::Jitsu),
            Protocol::Posthog => add(&mut paths, posthog::ENDPOINTS, Form::Posthog),
            Protocol::CloudEvents => add(&mut paths, cloudevents::ENDPOINTS, Form::CloudEvents),
            Protocol::OpenMeter => {
                add(&mut paths, cloudevents::OPENMETER_ENDPOINTS, Form::OpenMeter);
            }
            Protocol::Amplitude => add(&mut paths, amplitude::ENDPOINTS, Form::Amplitude),
            Protocol::Mixpanel => add(&mut paths, mixpanel::ENDPOINTS, Form::Mixpanel),
            Protocol::Snowplow => add(&mut paths, snowplow::ENDPOINTS, Form::Snowplow),
            Protocol::Otlp => add(&mut paths, otlp::ENDPOINTS, Form::Otlp),
        }
    }
    paths
}

fn add<F: Copy>(paths: &mut Vec<ForeignPath>, endpoints: &[Endpoint<F>], form: fn(F) -> Form) {
    for endpoint in endpoints {
        let known = paths.iter().position(|known| known.path == endpoint.path);
        let index = known.unwrap_or_else(|| {
            paths.push(ForeignPath { path: endpoint.path, get: Vec::new(), post: Vec::new() });
            paths.len() - 1
        });
        let path = &mut paths[index];
        match endpoint.method {
            Method::Get => path.get.push(form(endpoint.form)),
            Method::Post => path.post.push(form(endpoint.form)),
        }
    }
}

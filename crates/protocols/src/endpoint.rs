//! The paths of foreign clients, in one list for routes and documentation.

use crate::{Form, Protocol, Protocols};
use crate::{amplitude, cloudevents, mixpanel, otlp, posthog, segment, snowplow};

/// A method that foreign clients use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

/// A path of foreign clients, for one method and one protocol.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// The path, without a slash at its end. `{key}` stands for any segment.
    pub path: &'static str,
    /// The method.
    pub method: Method,
    /// The form of its requests.
    pub form: Form,
}

pub(crate) const fn post(path: &'static str, form: Form) -> Endpoint {
    Endpoint { path, method: Method::Post, form }
}

#[allow(dead_code)] // FRAME: removed with the first protocol that has one
pub(crate) const fn get(path: &'static str, form: Form) -> Endpoint {
    Endpoint { path, method: Method::Get, form }
}

fn endpoints_of(protocol: Protocol) -> &'static [Endpoint] {
    match protocol {
        Protocol::Segment => segment::ENDPOINTS,
        Protocol::Jitsu => segment::JITSU_ENDPOINTS,
        Protocol::Posthog => posthog::ENDPOINTS,
        Protocol::CloudEvents => cloudevents::ENDPOINTS,
        Protocol::OpenMeter => cloudevents::OPENMETER_ENDPOINTS,
        Protocol::Amplitude => amplitude::ENDPOINTS,
        Protocol::Mixpanel => mixpanel::ENDPOINTS,
        Protocol::Snowplow => snowplow::ENDPOINTS,
        Protocol::Otlp => otlp::ENDPOINTS,
    }
}

/// A path, and all that its clients may send there.
#[derive(Debug, Clone)]
pub struct ForeignPath {
    /// The path, without a slash at its end.
    pub path: &'static str,
    /// The forms of `GET` requests; empty without that method.
    pub get: Vec<Form>,
    /// The forms of `POST` requests; empty without that method.
    pub post: Vec<Form>,
}

/// Returns the paths of some protocols. Two protocols may share one.
#[must_use]
pub fn foreign_paths(protocols: Protocols) -> Vec<ForeignPath> {
    let mut paths: Vec<ForeignPath> = Vec::new();
    let spoken = Protocol::ALL.into_iter().filter(|protocol| protocols.contains(*protocol));
    for endpoint in spoken.flat_map(endpoints_of) {
        let known = paths.iter().position(|known| known.path == endpoint.path);
        let index = known.unwrap_or_else(|| {
            paths.push(ForeignPath { path: endpoint.path, get: Vec::new(), post: Vec::new() });
            paths.len() - 1
        });
        let path = &mut paths[index];
        match endpoint.method {
            Method::Get => path.get.push(endpoint.form),
            Method::Post => path.post.push(endpoint.form),
        }
    }
    paths
}

//! The routes of an address: registers each of them, and names the nearest one in the answer to a
//! wrong path or method.
//!
//! Not by the macros of actix: those answer a wrong method with 404 in place of 405.
//!
//! Hints come from the registered routes alone, so they never name a path that another address
//! serves. An answer repeats no part of the request but a standard method.

use actix_web::Handler;
use actix_web::http::Method;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{FromRequest, HttpRequest, Resource, Responder};
use mercurio_domain::hints::nearest;

use crate::problem::Problem;

/// The methods of a resource to read.
const READ: &[&str] = &["GET", "HEAD"];
/// The methods of a resource to write.
const WRITE: &[&str] = &["POST"];

/// Longer paths, and paths with more segments, get no hint: comparing costs time, and a wrong path
/// needs no key.
const MAX_PATH_BYTES: usize = 128;
const MAX_SEGMENTS: usize = 6;
/// Segments of lengths further apart are not compared.
const MAX_LENGTH_DIFFERENCE: usize = 8;

/// The cost of a segment that the path lacks, or has in addition. A typing error costs 1.
const MISSING_SEGMENT: usize = 3;
const ADDED_SEGMENT: usize = 4;
/// The cost of a value in place of a parameter, and of a beginning in place of a segment.
const PARAMETER: usize = 2;
const BEGINNING: usize = 2;
/// A beginning of a segment must have as many characters to count.
const MIN_BEGINNING_CHARS: usize = 4;
/// Two missing segments and an error: `/batch` for `/v1/events/batch`.
const MAX_COST: usize = 7;
/// Maximum routes in a hint.
const MAX_HINTS: usize = 3;

/// The page that lists every path.
const DOCS: &str = "/docs";

/// Registers the routes of an address.
pub(super) struct Routes<'a> {
    config: &'a mut ServiceConfig,
    table: RouteTable,
}

impl<'a> Routes<'a> {
    pub(super) fn new(config: &'a mut ServiceConfig) -> Self {
        Self { config, table: RouteTable::default() }
    }

    /// Adds a resource to read. Its handler also answers HEAD.
    pub(super) fn get<F, Args>(&mut self, pattern: &'static str, handler: F) -> &mut Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.get_with(pattern, handler, web::resource(pattern))
    }

    /// Adds a prepared resource to read.
    pub(super) fn get_with<F, Args>(
        &mut self,
        pattern: &'static str,
        handler: F,
        resource: Resource,
    ) -> &mut Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        // actix does not route HEAD to a GET handler.
        let resource =
            resource.route(web::get().to(handler.clone())).route(web::head().to(handler));
        self.add(pattern, READ, resource)
    }

    /// Adds a resource to write.
    pub(super) fn post<F, Args>(&mut self, pattern: &'static str, handler: F) -> &mut Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.add(pattern, WRITE, web::resource(pattern).route(web::post().to(handler)))
    }

    fn add(
        &mut self,
        pattern: &'static str,
        methods: &'static [&'static str],
        resource: Resource,
    ) -> &mut Self {
        self.config.service(resource.default_service(web::to(wrong_method)));
        self.table.0.push(Route { pattern, methods });
        self
    }

    /// Adds a resource that no hint names.
    pub(super) fn unlisted(&mut self, resource: Resource) -> &mut Self {
        self.config.service(resource);
        self
    }

    #[cfg(test)]
    pub(super) fn patterns(&self) -> impl Iterator<Item = &'static str> {
        self.table.0.iter().map(|route| route.pattern)
    }

    /// Adds the answer to all other paths.
    pub(super) fn finish(self) {
        self.config.app_data(Data::new(self.table)).default_service(web::to(wrong_path));
    }
}

async fn wrong_path(request: HttpRequest, table: Data<RouteTable>) -> Problem {
    Problem::NotFound { detail: table.wrong_path(request.method(), request.path()).into() }
}

async fn wrong_method(request: HttpRequest, table: Data<RouteTable>) -> Problem {
    table.wrong_method(request.method(), request.path(), request.match_pattern().as_deref())
}

/// A registered path.
struct Route {
    pattern: &'static str,
    methods: &'static [&'static str],
}

impl Route {
    /// Returns the method to name for a request with this one.
    fn method_for(&self, method: &Method) -> Option<&'static str> {
        let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
        self.methods.iter().find(|supported| **supported == method).copied()
    }
}

/// The registered routes.
#[derive(Default)]
struct RouteTable(Vec<Route>);

impl RouteTable {
    fn wrong_path(&self, method: &Method, path: &str) -> String {
        let path = Path::new(path);
        let mut near = self.near(&path, |route| route.method_for(method));
        if near.is_empty() {
            // Better the right path with another method than none.
            near = self.near(&path, |route| route.methods.first().copied());
        }
        format!("There is no resource at this path{}", self.ending(&near))
    }

    fn wrong_method(&self, method: &Method, path: &str, pattern: Option<&str>) -> Problem {
        let path = Path::new(path);
        let mut routes = self.0.iter();
        let own = routes.find(|route| Some(route.pattern) == pattern);
        let allow = own.map(|route| route.methods.join(", ")).unwrap_or_default();
        // A pattern that this path matches too would lead here again.
        let is_other = |route: &Route| !path.as_ref().is_some_and(|path| path.matches(route));
        let near = self.near(&path, |route| route.method_for(method).filter(|_| is_other(route)));
        let not = standard_name(method).map(|method| format!(", not {method}")).unwrap_or_default();
        let detail = format!("This path supports only {allow}{not}{}", self.ending(&near));
        Problem::MethodNotAllowed { allow, detail }
    }

    /// Returns the nearest routes, of those for which `method` returns one.
    fn near<'a>(
        &self,
        path: &Option<Path<'_>>,
        method: impl Fn(&Route) -> Option<&'a str>,
    ) -> Vec<String> {
        let Some(path) = path else { return Vec::new() };
        let (mut near, mut least) = (Vec::new(), MAX_COST);
        for route in &self.0 {
            let Some(method) = method(route) else { continue };
            let Some(cost) = path.cost_to(route).filter(|cost| *cost <= least) else { continue };
            if cost < least {
                near.clear();
                least = cost;
            }
            if near.len() < MAX_HINTS {
                near.push(format!("{method} {}", route.pattern));
            }
        }
        near
    }

    /// Returns the end of a sentence about a wrong path or method.
    fn ending(&self, near: &[String]) -> String {
        if !near.is_empty() {
            return format!("; did you mean {}?", near.join(" or "));
        }
        if self.0.iter().any(|route| route.pattern == DOCS) {
            return format!("; {DOCS} lists the paths.");
        }
        ".".to_owned()
    }
}

/// Returns the method if it is a standard one. A client's own may be any text.
fn standard_name(method: &Method) -> Option<&str> {
    let standard = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    standard.contains(&method.as_str()).then_some(method.as_str())
}

/// The segments of a request's path, without empty ones: a path that differs from a route by a
/// slash has the cost 0.
struct Path<'a>(Vec<&'a str>);

impl<'a> Path<'a> {
    /// Returns `None` for a path without segments, and for one that is too long.
    fn new(path: &'a str) -> Option<Self> {
        if path.len() > MAX_PATH_BYTES {
            return None;
        }
        let segments: Vec<_> = segments(path).take(MAX_SEGMENTS + 1).collect();
        (1..=MAX_SEGMENTS).contains(&segments.len()).then_some(Self(segments))
    }

    fn matches(&self, route: &Route) -> bool {
        let pattern: Vec<_> = segments(route.pattern).collect();
        let equal = |(segment, part): (&&str, &&str)| is_parameter(part) || segment == part;
        pattern.len() == self.0.len() && self.0.iter().zip(&pattern).all(equal)
    }

    /// Returns the cost of the changes from this path to a route; `None` if they have no name in
    /// common.
    fn cost_to(&self, route: &Route) -> Option<usize> {
        let pattern: Vec<_> = segments(route.pattern).collect();
        let is_shared =
            |name: &&str| self.0.iter().any(|segment| name_cost(segment, name).is_some());
        let mut names = pattern.iter().filter(|part| !is_parameter(part) && !is_version(part));
        names.any(is_shared).then(|| self.edits(&pattern))
    }

    /// The edit distance of the segments.
    fn edits(&self, pattern: &[&str]) -> usize {
        let mut row: Vec<_> = (0..=pattern.len()).map(|count| count * MISSING_SEGMENT).collect();
        for segment in &self.0 {
            let mut diagonal = row[0];
            row[0] += ADDED_SEGMENT;
            for (index, part) in pattern.iter().enumerate() {
                let replaced = replacement_cost(segment, part).map(|cost| diagonal + cost);
                diagonal = row[index + 1];
                let other = (row[index] + MISSING_SEGMENT).min(diagonal + ADDED_SEGMENT);
                row[index + 1] = replaced.map_or(other, |cost| cost.min(other));
            }
        }
        row[pattern.len()]
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn is_parameter(part: &str) -> bool {
    part.starts_with('{')
}

/// Every path of an API begins with its version: it is no sign of a likeness.
fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok())
}

fn replacement_cost(segment: &str, part: &str) -> Option<usize> {
    if is_parameter(part) { Some(PARAMETER) } else { name_cost(segment, part) }
}

/// Returns the cost of `segment` in place of `name`; `None` for another name.
fn name_cost(segment: &str, name: &str) -> Option<usize> {
    if segment == name {
        return Some(0);
    }
    if segment.len().abs_diff(name.len()) > MAX_LENGTH_DIFFERENCE {
        return None;
    }
    if nearest(segment, [name]).is_some() {
        return Some(1);
    }
    let (short, long) = if segment.len() < name.len() { (segment, name) } else { (name, segment) };
    (short.len() >= MIN_BEGINNING_CHARS && long.starts_with(short)).then_some(BEGINNING)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The routes of an address that serves everything, and two that later ones may have.
    fn table() -> RouteTable {
        let mut routes = Vec::new();
        for pattern in [
            "/health/live",
            "/health/ready",
            "/problems/{code}",
            "/",
            "/openapi.json",
            "/docs",
            "/docs/{file}",
            "/health",
            "/metrics",
            "/v1/limits",
            "/v1/events",
            "/v1/events/{event_id}",
        ] {
            routes.push(Route { pattern, methods: READ });
        }
        for pattern in ["/v1/events/track", "/v1/events/batch", "/v1/identify"] {
            routes.push(Route { pattern, methods: WRITE });
        }
        RouteTable(routes)
    }

    #[test]
    fn near_route_is_named_for_a_wrong_path() {
        let none = "; /docs lists the paths.";
        for (method, path, expected) in [
            ("POST", "/v1/event", "; did you mean POST /v1/events/track or POST /v1/events/batch?"),
            ("POST", "/batch", "; did you mean POST /v1/events/batch?"),
            ("POST", "/v1/track", "; did you mean POST /v1/events/track?"),
            ("POST", "/v1/events/batch/", "; did you mean POST /v1/events/batch?"),
            ("POST", "//v1/events/batch", "; did you mean POST /v1/events/batch?"),
            ("POST", "/V1/Events/Batch", "; did you mean POST /v1/events/batch?"),
            ("POST", "/v2/events/batch", "; did you mean POST /v1/events/batch?"),
            ("POST", "/api/v1/events/btach", "; did you mean POST /v1/events/batch?"),
            ("POST", "/v1/events/track/x", "; did you mean POST /v1/events/track?"),
            ("POST", "/identify", "; did you mean POST /v1/identify?"),
            ("GET", "/v1/event", "; did you mean GET /v1/events?"),
            ("HEAD", "/v1/event", "; did you mean GET /v1/events?"),
            ("GET", "/v1/event/abc", "; did you mean GET /v1/events/{event_id}?"),
            ("GET", "/events", "; did you mean GET /v1/events?"),
            ("GET", "/limit", "; did you mean GET /v1/limits?"),
            ("GET", "/v1/indentify", "; did you mean POST /v1/identify?"),
            ("GET", "/healthz", "; did you mean GET /health?"),
            ("GET", "/healthcheck", "; did you mean GET /health?"),
            ("GET", "/health/liveness", "; did you mean GET /health/live?"),
            ("GET", "/metric", "; did you mean GET /metrics?"),
            ("GET", "/openapi", "; did you mean GET /openapi.json?"),
            ("GET", "/docs/", "; did you mean GET /docs?"),
            ("GET", "/nowhere", none),
            ("GET", "/v1", none),
            ("GET", "/v1/users", none),
            ("PROPFIND", "/wp-login.php", none),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let detail = table().wrong_path(&method, path);
            assert_eq!(detail, format!("There is no resource at this path{expected}"), "{path}");
        }
    }

    #[test]
    fn wrong_method_lists_the_right_ones_and_a_near_route() {
        let to_write = "; did you mean POST /v1/events/track or POST /v1/events/batch?";
        for (method, path, pattern, expected) in [
            ("POST", "/v1/events", "/v1/events", format!("GET, HEAD, not POST{to_write}")),
            (
                "POST",
                "/v1/events/abc",
                "/v1/events/{event_id}",
                format!("GET, HEAD, not POST{to_write}"),
            ),
            (
                "GET",
                "/v1/events/track",
                "/v1/events/track",
                "POST, not GET; did you mean GET /v1/events?".to_owned(),
            ),
            (
                "DELETE",
                "/v1/limits",
                "/v1/limits",
                "GET, HEAD, not DELETE; /docs lists the paths.".to_owned(),
            ),
            ("BREW", "/", "/", "GET, HEAD; /docs lists the paths.".to_owned()),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let problem = table().wrong_method(&method, path, Some(pattern));
            let Problem::MethodNotAllowed { detail, .. } = problem else { panic!("{problem:?}") };
            assert_eq!(detail, format!("This path supports only {expected}"), "{path}");
        }
    }

    #[test]
    fn long_path_is_not_compared() {
        let long = format!("/v1/events/{}", "x".repeat(MAX_PATH_BYTES));
        let deep = "/v1/events".repeat(MAX_SEGMENTS);
        for path in [long.as_str(), &deep, "", "/", "///"] {
            assert!(Path::new(path).is_none(), "{path}");
        }
    }

    #[test]
    fn hint_needs_a_served_page() {
        let table = RouteTable(vec![Route { pattern: "/health/live", methods: READ }]);
        let detail = table.wrong_path(&Method::GET, "/nowhere");
        assert_eq!(detail, "There is no resource at this path.");
    }
}

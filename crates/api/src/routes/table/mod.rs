//! The routes of an address: registers each of them, and names the nearest one in the answer to a
//! wrong path or method.
//!
//! Not by the macros of actix: those answer a wrong method with 404 in place of 405.
//!
//! Hints come from the registered routes alone, so they never name a path that another address
//! serves. An answer repeats no part of the request but a standard method.

mod near;

use actix_web::Handler;
use actix_web::http::Method;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{FromRequest, HttpRequest, Resource, Responder};

use crate::problem::Problem;

use near::Path;

/// The methods of a resource to read.
const READ: &[&str] = &["GET", "HEAD"];
/// The methods of a resource to write.
const WRITE: &[&str] = &["POST"];

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
        self.table.0.push(Route { pattern, methods: methods.to_vec(), is_listed: true });
        self
    }

    /// Adds a resource that no hint names: `pattern` is its first one.
    pub(super) fn unlisted(
        &mut self,
        resource: Resource,
        pattern: &'static str,
        methods: Vec<&'static str>,
    ) {
        self.config.service(resource.default_service(web::to(wrong_method)));
        self.table.0.push(Route { pattern, methods, is_listed: false });
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
    methods: Vec<&'static str>,
    /// Whether hints name it.
    is_listed: bool,
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
        let is_other =
            |route: &Route| !path.as_ref().is_some_and(|path| path.matches(route.pattern));
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
        for route in self.0.iter().filter(|route| route.is_listed) {
            let Some(method) = method(route) else { continue };
            let Some(cost) = path.cost_to(route.pattern).filter(|cost| *cost <= least) else {
                continue;
            };
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

#[cfg(test)]
mod tests;

//! `GET /problems/{code}`: the page about a problem.
//!
//! Every address serves it: the `type` of a problem is relative to the server that answered.

use actix_web::HttpResponse;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentType, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, Data, Path};

use super::docs::CACHE_ONE_DAY;
use super::table::Routes;
use crate::problem::{Problem, ProblemCode, problem_page};

/// The page has no script and no link to another origin, only its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// A relative link from a page to `/docs`, on an address that serves it.
pub struct DocsLink(Option<&'static str>);

pub(super) fn configure(routes: &mut Routes<'_>, serves_docs: bool) {
    let pattern = "/problems/{code}";
    let docs = Data::new(DocsLink(serves_docs.then_some("../docs")));
    routes.get_with(pattern, page, web::resource(pattern).app_data(docs));
}

/// Returns a page about a problem: its meaning and its remedy.
///
/// The `type` of every problem points to its page.
#[utoipa::path(
    get,
    path = "/problems/{code}",
    operation_id = "getProblemPage",
    tag = "Documentation",
    params(("code" = inline(ProblemCode), Path, description = "The `code` of the problem.")),
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
pub async fn page(code: Path<String>, docs: Data<DocsLink>) -> Result<HttpResponse, Problem> {
    let page = problem_page(&code, docs.0).ok_or_else(no_code)?;
    Ok(HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // Pages change only with the version of the server.
        .insert_header((CACHE_CONTROL, CACHE_ONE_DAY))
        .body(page))
}

fn no_code() -> Problem {
    Problem::NotFound { detail: "No problem has this code.".into() }
}

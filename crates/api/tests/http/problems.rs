//! The pages about problems.

use actix_web::http::Method;
use mercurio_api::problem::ProblemCode;
use mercurio_api::routes::Surface;

use mercurio_api::testing::{ApiRequest, TestApp};

fn get(path: &str) -> ApiRequest {
    ApiRequest::new(Method::GET, path)
}

#[actix_web::test]
async fn every_code_has_a_page_without_a_key() {
    let test_app = TestApp::new();
    for code in ProblemCode::ALL {
        let path = format!("/problems/{}", code.as_str());
        let page = test_app.call(get(&path)).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        let html = String::from_utf8(page.body).unwrap();
        let text = code.description();
        let status = text.status.as_u16().to_string();
        assert!(html.starts_with("<!doctype html>\n"), "{html}");
        for expected in [text.code, text.title, text.meaning, text.remedy, &status] {
            assert!(html.contains(expected), "{expected}: {html}");
        }
        assert!(!html.contains("//"), "no address of another server");
        let head = test_app.call(ApiRequest::new(Method::HEAD, &path)).await;
        assert_eq!((head.status, head.headers.len()), (200, page.headers.len()), "{path}");
    }
}

#[actix_web::test]
async fn type_of_a_problem_resolves() {
    let test_app = TestApp::new();
    for path in ["/nowhere", "/v1/events", "/health/live/x"] {
        let problem = test_app.call(get(path)).await.json;
        let page = test_app.call(get(problem["type"].as_str().unwrap())).await;
        let html = String::from_utf8(page.body).unwrap();
        assert!(html.contains(problem["title"].as_str().unwrap()), "{html}");
    }
}

#[actix_web::test]
async fn unknown_code_is_not_found_and_not_repeated() {
    let test_app = TestApp::new();
    for code in ["other", "NOT_FOUND", "", "a/b", "%3Cscript%3Ealert(1)%3C%2Fscript%3E", "%ff"] {
        let response = test_app.call(get(&format!("/problems/{code}"))).await;
        response.is_problem(404, "not_found");
        assert!(!String::from_utf8_lossy(&response.body).contains("script"), "{response:?}");
    }
}

#[actix_web::test]
async fn pages_are_served_on_every_address() {
    let (open, closed) = (TestApp::new(), TestApp::without_public_docs());
    for (test_app, surface, links_docs) in [
        (&open, Surface::Whole, true),
        (&open, Surface::Public, true),
        (&open, Surface::Management, true),
        (&closed, Surface::Whole, false),
        (&closed, Surface::Public, false),
        (&closed, Surface::Management, true),
    ] {
        let app = test_app.surface(surface).await;
        let page = get("/problems/overloaded").send(&app).await;
        let html = String::from_utf8(page.body).unwrap();
        assert_eq!((page.status, html.contains("../docs")), (200, links_docs), "{surface:?}");
        let docs = get("/docs").send(&app).await;
        assert_eq!(docs.status == 200, links_docs, "the link is never dead");
    }
}

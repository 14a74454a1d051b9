//! The page about a problem: `type` in its JSON points to it.
//!
//! The page consists of constants alone: no part of a request appears in it.

use super::code::{ProblemCode, code_of_status, reason_phrase};
use actix_web::http::StatusCode;

const STYLE: &str = "body{max-width:40rem;margin:3rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}code{font-size:1em}";

/// Returns the HTML page about the problem with this code; `None` for an unknown code. `docs` is a
/// relative link to the documentation, if this address serves it.
#[must_use]
pub fn problem_page(code: &str, docs: Option<&str>) -> Option<String> {
    if let Some(code) = ProblemCode::parse(code) {
        let text = code.description();
        return Some(page(text.code, text.status, text.title, text.meaning, text.remedy, docs));
    }
    // The framework's other errors have codes made of their status: their `type` resolves too.
    let status = (400..600)
        .filter_map(|number| StatusCode::from_u16(number).ok())
        .filter(|status| status.canonical_reason().is_some())
        .find(|status| code_of_status(*status) == code)?;
    let meaning = "The server refused the request with this HTTP status.";
    let remedy = "Check the request against the HTTP standard.";
    Some(page(&code_of_status(status), status, reason_phrase(status), meaning, remedy, docs))
}

fn page(
    code: &str,
    status: StatusCode,
    title: &str,
    meaning: &str,
    remedy: &str,
    docs: Option<&str>,
) -> String {
    let status = status.as_u16();
    let docs = match docs {
        Some(link) => format!("<p><a href=\"{link}\">Documentation of the API</a></p>\n"),
        None => String::new(),
    };
    // The empty icon keeps browsers from requesting `/favicon.ico`.
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<p><code>{code}</code>, HTTP status {status}</p>\n\
         <h2>Meaning</h2>\n<p>{meaning}</p>\n<h2>Remedy</h2>\n<p>{remedy}</p>\n{docs}</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_need_no_escaping() {
        for code in ProblemCode::ALL {
            let text = code.description();
            for text in [text.code, text.title, text.meaning, text.remedy] {
                assert!(!text.is_empty() && !text.contains(['<', '>', '&', '"']), "{text}");
            }
        }
        for status in (400..600).filter_map(|number| StatusCode::from_u16(number).ok()) {
            assert!(!reason_phrase(status).contains(['<', '>', '&', '"']), "{status}");
        }
    }

    #[test]
    fn framework_status_has_a_page_and_unknown_code_none() {
        let page = problem_page("im_a_teapot", None).unwrap();
        assert!(
            page.contains("<h1>I'm a teapot</h1>") && page.contains("HTTP status 418"),
            "{page}"
        );
        for code in ["", "error", "ok", "Not_Found", "not_found ", "<script>"] {
            assert_eq!(problem_page(code, None), None, "{code}");
        }
    }
}

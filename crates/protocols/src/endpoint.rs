//! A path of foreign clients.

/// A method that foreign clients use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

/// A path for one method and one form of requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint<F> {
    /// The path, without a slash at its end. `{key}` stands for any segment.
    pub(crate) path: &'static str,
    /// The method.
    pub(crate) method: Method,
    /// The form of its requests.
    pub(crate) form: F,
}

pub(crate) const fn post<F>(path: &'static str, form: F) -> Endpoint<F> {
    Endpoint { path, method: Method::Post, form }
}

pub(crate) const fn get<F>(path: &'static str, form: F) -> Endpoint<F> {
    Endpoint { path, method: Method::Get, form }
}

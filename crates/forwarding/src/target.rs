//! The URL that gets the events.

use std::fmt;

use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use url::Url;

/// A URL of a receiver. Displays as scheme and host: path, query and credentials may be secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: String,
    shown: String,
    /// Value of `Authorization`, from the credentials in the URL.
    authorization: Option<String>,
}

/// Why a text is not a [`Target`], or has no [`HttpSender`](crate::HttpSender). Quotes no part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL with a host.
    #[error("not a URL of a receiver: use one such as https://example.com/events")]
    NotUrl,
    /// Neither HTTP nor HTTPS.
    #[error("only http:// and https:// are supported")]
    OtherScheme,
    /// HTTPS, in a build without it.
    #[error(
        "this build has no TLS: use a release, build with --features tls, or send to a local proxy that adds TLS"
    )]
    NoTls,
}

impl Target {
    /// Reads a URL. Its credentials become an `Authorization: Basic` header (RFC 7617).
    ///
    /// # Errors
    /// [`TargetError`], except [`TargetError::NoTls`].
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let mut url = Url::parse(text.trim()).map_err(|_| TargetError::NotUrl)?;
        match url.scheme() {
            "http" | "https" => {}
            _ => return Err(TargetError::OtherScheme),
        }
        let host = url.host_str().ok_or(TargetError::NotUrl)?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let shown = format!("{}://{host}{port}", url.scheme());
        let authorization = authorization(&url);
        // Not part of the request: the header replaces the first two, and a fragment is for readers.
        let removed = url.set_username("").and_then(|()| url.set_password(None));
        removed.map_err(|()| TargetError::NotUrl)?;
        url.set_fragment(None);
        Ok(Self { url: url.into(), shown, authorization })
    }

    /// Fails if this build cannot reach the target.
    pub(crate) fn check_tls(&self) -> Result<(), TargetError> {
        let needs_tls = self.shown.starts_with("https:");
        if needs_tls && !cfg!(feature = "tls") { Err(TargetError::NoTls) } else { Ok(()) }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.shown)
    }
}

fn authorization(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut credentials: Vec<u8> = percent_decode_str(url.username()).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(url.password().unwrap_or_default()));
    Some(format!("Basic {}", BASE64.encode(&credentials)))
}

/// Returns the host of a `Location`; `None` if it is relative or malformed.
pub(crate) fn host_of(location: &str) -> Option<String> {
    Url::parse(location).ok()?.host_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_shows_scheme_and_host_alone() {
        let target =
            Target::parse("http://al%40ice:hunter2@[::1]:8080/hook?key=hunter2#x").unwrap();
        assert_eq!(target.to_string(), "http://[::1]:8080");
        assert_eq!(format!("{target:?}"), "Target(http://[::1]:8080)");
        assert_eq!(target.url(), "http://[::1]:8080/hook?key=hunter2");
        // al@ice:hunter2
        assert_eq!(target.authorization(), Some("Basic YWxAaWNlOmh1bnRlcjI="));
        assert_eq!(Target::parse("http://example.com").unwrap().authorization(), None);
    }

    #[test]
    fn other_text_is_refused_without_its_secrets() {
        for (text, expected) in [
            ("", TargetError::NotUrl),
            ("hunter2", TargetError::NotUrl),
            ("//example.com/hunter2", TargetError::NotUrl),
            ("http://", TargetError::NotUrl),
            ("http://a:hunter2@", TargetError::NotUrl),
            ("http://a:hunter2@host:port/", TargetError::NotUrl),
            ("ftp://a:hunter2@host/", TargetError::OtherScheme),
            ("file:///hunter2", TargetError::OtherScheme),
        ] {
            let error = Target::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn https_needs_the_feature() {
        let target = Target::parse("https://example.com/hook").unwrap();
        assert_eq!(target.check_tls().is_ok(), cfg!(feature = "tls"));
        assert_eq!(Target::parse("http://example.com").unwrap().check_tls(), Ok(()));
    }

    #[test]
    fn location_gives_only_its_host() {
        assert_eq!(host_of("https://a:b@example.com/x?y").as_deref(), Some("example.com"));
        assert_eq!(host_of("/elsewhere"), None);
    }
}

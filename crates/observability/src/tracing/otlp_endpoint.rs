//! The address of a trace collector.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// Base URL of a collector that accepts OTLP over HTTP.
///
/// It contains no credentials, so it may be logged. The exporter sends those in
/// `OTEL_EXPORTER_OTLP_HEADERS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpEndpoint(Url);

/// Why a text is not an [`OtlpEndpoint`]. Does not quote the text, because it may contain a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OtlpEndpointError {
    /// Not a URL with a host, or one with a query or fragment.
    #[error("not a collector URL: use one such as http://localhost:4318, without a query")]
    NoUrl,
    /// The exporter is built without TLS.
    #[error("only http:// is supported: send traces to a local collector or proxy that adds TLS")]
    OtherScheme,
    /// The URL contains credentials.
    #[error("the URL contains a user or password: set OTEL_EXPORTER_OTLP_HEADERS instead")]
    HasCredentials,
}

impl FromStr for OtlpEndpoint {
    type Err = OtlpEndpointError;

    fn from_str(text: &str) -> Result<Self, OtlpEndpointError> {
        let url = Url::parse(text).map_err(|_| OtlpEndpointError::NoUrl)?;
        match url.scheme() {
            // Credentials are refused, so the endpoint can appear in logs.
            "http" if !url.username().is_empty() || url.password().is_some() => {
                Err(OtlpEndpointError::HasCredentials)
            }
            // The exporter appends `/v1/traces`, and a query would end up in the middle.
            "http" if url.query().is_none() && url.fragment().is_none() => Ok(Self(url)),
            "http" => Err(OtlpEndpointError::NoUrl),
            _ => Err(OtlpEndpointError::OtherScheme),
        }
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Url` adds a slash to an empty path.
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, OtlpEndpointError>) {
        let read = text.parse::<OtlpEndpoint>().map(|endpoint| endpoint.to_string());
        assert_eq!(read.as_deref(), expected.as_ref().copied(), "{text}");
    }

    #[test]
    fn endpoint_is_an_http_url_without_credentials() {
        check("http://localhost:4318", Ok("http://localhost:4318"));
        check("http://[::1]:4318/", Ok("http://[::1]:4318"));
        // A collector behind a path of a proxy.
        check("http://collector.example/otlp/", Ok("http://collector.example/otlp"));
        check("https://collector.example", Err(OtlpEndpointError::OtherScheme));
        // OTLP over gRPC needs another exporter.
        check("grpc://localhost:4317", Err(OtlpEndpointError::OtherScheme));
        check("http://me:hunter2@localhost:4318", Err(OtlpEndpointError::HasCredentials));
        check("http://localhost:4318?token=hunter2", Err(OtlpEndpointError::NoUrl));
        // A host without a scheme is no URL.
        check("localhost", Err(OtlpEndpointError::NoUrl));
        check("", Err(OtlpEndpointError::NoUrl));
    }
}

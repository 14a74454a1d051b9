//! The address of a collector of traces.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// The base URL of a collector that takes OTLP over HTTP. It names no user: what is sent with each request for the collector to
/// know us by stands in `OTEL_EXPORTER_OTLP_HEADERS`, which the exporter reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpEndpoint(Url);

/// A text is no [`OtlpEndpoint`]. Does not tell the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OtlpEndpointError {
    /// It is no URL with a host.
    #[error("this is no URL of a collector, such as http://localhost:4318")]
    NoUrl,
    /// It is spoken to in another way.
    #[error(
        "only http:// is spoken: a collector on this machine, or a proxy beside the server, sends traces on over TLS"
    )]
    OtherScheme,
    /// It names a user.
    #[error("a user and a password belong into OTEL_EXPORTER_OTLP_HEADERS, and not into the URL")]
    NamesUser,
}

impl FromStr for OtlpEndpoint {
    type Err = OtlpEndpointError;

    fn from_str(text: &str) -> Result<Self, OtlpEndpointError> {
        let url = Url::parse(text).map_err(|_| OtlpEndpointError::NoUrl)?;
        match url.scheme() {
            "http" if !url.username().is_empty() || url.password().is_some() => {
                Err(OtlpEndpointError::NamesUser)
            }
            "http" if url.query().is_none() && url.fragment().is_none() => Ok(Self(url)),
            "http" => Err(OtlpEndpointError::NoUrl),
            _ => Err(OtlpEndpointError::OtherScheme),
        }
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_http_url_without_a_user() {
        let check = |text: &str, expected: Result<&str, OtlpEndpointError>| {
            let read = text.parse::<OtlpEndpoint>().map(|endpoint| endpoint.to_string());
            assert_eq!(read.as_deref(), expected.as_ref().copied(), "{text}");
        };
        check("http://localhost:4318", Ok("http://localhost:4318"));
        check("http://[::1]:4318/", Ok("http://[::1]:4318"));
        check("http://collector.example/otlp/", Ok("http://collector.example/otlp"));
        check("https://collector.example", Err(OtlpEndpointError::OtherScheme));
        check("grpc://localhost:4317", Err(OtlpEndpointError::OtherScheme));
        check("http://me:hunter2@localhost:4318", Err(OtlpEndpointError::NamesUser));
        check("http://localhost:4318?token=hunter2", Err(OtlpEndpointError::NoUrl));
        check("localhost", Err(OtlpEndpointError::NoUrl));
        check("", Err(OtlpEndpointError::NoUrl));
    }
}

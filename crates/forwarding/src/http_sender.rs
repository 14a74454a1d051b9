//! One request: a blocking POST with a time limit over all of it.

use std::io::{self, Read};
use std::time::Duration;

use mercurio_domain::Timestamp;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::batch::Batch;
use crate::outcome::{Answer, DeliveryError};
use crate::retry_after;
use crate::signature::SigningSecrets;
use crate::target::{Target, TargetError, host_of};

/// Bytes read of an answer's body. A rest is left unread, and the connection is closed.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// Bytes of an answer's headers.
const MAX_ANSWER_HEADER_BYTES: usize = 32 * 1024;

/// Posts batches to a target, over a connection that stays open between them.
#[derive(Debug)]
pub struct HttpSender {
    agent: Agent,
    target: Target,
    secrets: Option<SigningSecrets>,
    timeout: Duration,
}

impl HttpSender {
    /// `timeout` covers the look-up of the name, connecting, TLS, the request and the whole answer.
    /// Without `secrets`, requests are not signed. A proxy in the environment (`HTTPS_PROXY`,
    /// `NO_PROXY`) is used.
    ///
    /// # Errors
    /// [`TargetError::NoTls`] if the target needs TLS and this build has none.
    pub fn new(
        target: Target,
        secrets: Option<SigningSecrets>,
        timeout: Duration,
    ) -> Result<Self, TargetError> {
        target.check_tls()?;
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .http_status_as_error(false)
            .max_response_header_size(MAX_ANSWER_HEADER_BYTES)
            .user_agent(concat!("Mercurio/", env!("CARGO_PKG_VERSION")));
        Ok(Self { agent: with_tls(config).build().into(), target, secrets, timeout })
    }

    /// Posts a batch, and waits for the complete answer. `now` becomes its signed time.
    ///
    /// # Errors
    /// [`DeliveryError`] unless the answer is a 2xx. After most of them, the receiver may have the
    /// batch all the same.
    pub fn post(&self, batch: &Batch, now: Timestamp) -> Result<(), DeliveryError> {
        let seconds = now.as_micros().div_euclid(1_000_000);
        let mut request = self
            .agent
            .post(self.target.url())
            .header("content-type", batch.content_type)
            .header("webhook-id", &batch.id)
            .header("webhook-timestamp", seconds);
        if let Some(secrets) = &self.secrets {
            let signature = secrets.sign(&batch.id, seconds, &batch.body);
            request = request.header("webhook-signature", signature);
        }
        if let Some(authorization) = self.target.authorization() {
            request = request.header("authorization", authorization);
        }
        let response = request.send(&batch.body[..]).map_err(|error| self.error(error))?;
        self.answer(response, now)?.outcome()
    }

    /// Reads the answer to its end. A cut-off one is none: a proxy may have lost the receiver.
    fn answer(
        &self,
        mut response: Response<Body>,
        now: Timestamp,
    ) -> Result<Answer, DeliveryError> {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let answer = Answer {
            status: response.status().as_u16(),
            retry_after: header("retry-after").and_then(|value| retry_after::parse(value, now)),
            location_host: header("location").and_then(host_of),
        };
        let mut body = response.body_mut().as_reader().take(MAX_ANSWER_BYTES);
        let read = io::copy(&mut body, &mut io::sink());
        read.map_err(|error| self.error(error.into()))?;
        Ok(answer)
    }

    /// Converts an error of the client. Its own texts may have the URL.
    fn error(&self, error: ureq::Error) -> DeliveryError {
        use ureq::Error;
        let no_answer = |text: &str| DeliveryError::NoAnswer(text.to_owned());
        match error {
            Error::Timeout(_) => DeliveryError::TimedOut(self.timeout),
            Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                DeliveryError::TimedOut(self.timeout)
            }
            Error::Io(error) => DeliveryError::NoAnswer(error.to_string()),
            Error::HostNotFound => no_answer("the host was not found"),
            Error::ConnectionFailed => no_answer("the connection failed"),
            Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => no_answer("the proxy failed"),
            Error::Protocol(_) | Error::Http(_) | Error::BodyStalled => no_answer("it is not HTTP"),
            Error::LargeResponseHeader(..) => no_answer("its headers are too large"),
            Error::Tls(text) => DeliveryError::Tls(text.to_owned()),
            #[cfg(feature = "tls")]
            Error::NativeTls(error) => DeliveryError::Tls(error.to_string()),
            _ => no_answer("the request failed"),
        }
    }
}

type ConfigBuilder = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

/// The certificates of the system decide, as for every other program on it.
#[cfg(feature = "tls")]
fn with_tls(config: ConfigBuilder) -> ConfigBuilder {
    use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
    let tls = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(RootCerts::PlatformVerifier);
    config.tls_config(tls.build())
}

#[cfg(not(feature = "tls"))]
fn with_tls(config: ConfigBuilder) -> ConfigBuilder {
    config
}

//! What the connections of a server share: its options, its metrics and log, and the problems it
//! writes in place of a [`BareResponse`].

use super::bare_response::BareResponse;
use super::options::ServerOptions;
use super::tls_hello::{self, TlsHelloLog};
use crate::problem::Problem;
use actix_web::http::StatusCode;
use mercurio_domain::ids::IdGenerator;
use mercurio_enrichment::TrustedProxies;
use mercurio_observability::{Metrics, RequestContext, RequestLine, context};
use mercurio_runtime::refusal_log::{RefusalLine, RefusalLog};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The state that all connections of a server share.
#[derive(Clone)]
pub(super) struct SharedState {
    pub(super) metrics: Arc<Metrics>,
    ids: Arc<dyn IdGenerator>,
    refusals: Arc<RefusalLog>,
    pub(super) linger: Duration,
    pub(super) head_timeout: Duration,
    pub(super) keep_alive: Duration,
    pub(super) stranger_keep_alive: Duration,
    pub(super) answer_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) trusted_proxies: TrustedProxies,
    tls_hellos: Arc<TlsHelloLog>,
}

impl SharedState {
    pub(super) fn new(metrics: Arc<Metrics>, options: &ServerOptions) -> Self {
        Self {
            metrics,
            ids: Arc::clone(&options.ids),
            refusals: Arc::clone(&options.refusals),
            linger: options.linger,
            head_timeout: options.head_timeout,
            keep_alive: options.keep_alive,
            stranger_keep_alive: options.stranger_keep_alive,
            answer_timeout: options.answer_timeout,
            write_timeout: options.write_timeout,
            trusted_proxies: options.trusted_proxies.clone(),
            tls_hellos: Arc::new(TlsHelloLog::new(options.client_ip)),
        }
    }

    /// Returns the shortest timeout. A check in this interval misses none.
    pub(super) fn check_interval(&self) -> Duration {
        let idle = self.keep_alive.min(self.stranger_keep_alive);
        idle.min(self.head_timeout).min(self.answer_timeout).min(self.write_timeout)
    }

    fn log(&self, status: StatusCode, request_id: &str) {
        let status = status.as_u16();
        let line = RefusalLine::Request { tenant_id: None, class: status / 100 };
        if let Some(not_logged) = self.refusals.admit(line, std::time::Instant::now()) {
            let line = RequestLine { method: "?", status, not_logged, ..RequestLine::default() };
            line.log(&RequestContext::new(request_id, None).logger(&context::current()));
        }
    }

    /// Returns the bytes of the problem in place of `bare`, and logs and counts the request.
    pub(super) fn response(&self, bare: &BareResponse<'_>) -> Vec<u8> {
        let request_id = self.ids.next_uuid().to_string();
        self.log(bare.status, &request_id);
        let problem = match bare.status {
            StatusCode::BAD_REQUEST => {
                Problem::BadRequest { detail: "The request is not valid HTTP/1.1." }
            }
            status => Problem::from_framework(status, None),
        };
        self.bytes(bare, &problem, &request_id)
    }

    /// Likewise for a client that sent TLS. `peer` is its address.
    pub(super) fn response_to_tls(
        &self,
        bare: &BareResponse<'_>,
        peer: Option<SocketAddr>,
    ) -> Vec<u8> {
        self.tls_hellos.log(peer);
        let problem = Problem::BadRequest { detail: tls_hello::DETAIL };
        self.bytes(bare, &problem, &self.ids.next_uuid().to_string())
    }

    /// Returns the bytes of `problem`, and counts the request.
    fn bytes(&self, bare: &BareResponse<'_>, problem: &Problem, request_id: &str) -> Vec<u8> {
        // The duration is zero: actix refuses the request as soon as it reads it.
        // The method is unknown: the head was not parsed.
        self.metrics.record_request("?", None, bare.status.as_u16(), Duration::ZERO);
        let body = problem.to_json(request_id);
        format!(
            // With `connection: close`, HTTP/1.0 clients read it as well.
            "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
             connection: close\r\nx-request-id: {request_id}\r\n{date}\r\n{body}",
            status = bare.status,
            length = body.len(),
            date = bare.date.map(|date| format!("date: {date}\r\n")).unwrap_or_default(),
        )
        .into_bytes()
    }
}

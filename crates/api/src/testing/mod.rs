//! [`TestApp`]: the whole service over the memory store, without a socket, with two tenants.

mod hostile_bodies;
mod rejected_bodies;
mod sse;

pub use hostile_bodies::{HostileBody, hostile_bodies};
pub use rejected_bodies::{RejectedBody, rejected_bodies};
pub use sse::{SseBody, SseMessage, SseParser};
use std::sync::Arc;
use std::time::Duration;

use crate::app::app;
use crate::body::Bodies;
use crate::routes::Surface;
use crate::state::AppState;
use actix_http::Request;
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::test::{TestRequest, init_service, try_call_service};
use actix_web::web::Data;
use mercurio_domain::Owner;
use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Origins, Scopes, SecretKey};
use mercurio_domain::limits::Limits;
use mercurio_domain::store::{Catalog, EventWriter, KeyRequest, Privileges, SchemaState};
use mercurio_domain::tenant::Name;
use mercurio_domain::testing::{CountingIds, FixedClock, MemoryStore, provisioning};
use mercurio_enrichment::{ClientIpHeader, Enricher, EnricherOptions, TrustedProxies};
use mercurio_observability::Metrics;
use mercurio_pipeline::{GroupWriter, WriterOptions, writer::NoopObserver};
use mercurio_protocols::ProtocolOptions;
use mercurio_rate_limit::RateLimits;
use mercurio_runtime::RequestSettings;
use mercurio_runtime::database_probe::DatabaseProbe;
use mercurio_runtime::key_cache::KeyCache;
use mercurio_runtime::lifecycle::Lifecycle;
use mercurio_runtime::quota_usage::{QuotaUsage, QuotaUsageOptions};
use mercurio_runtime::reads::{ReadOptions, Reads};
use mercurio_runtime::refusal_log::RefusalLog;
use mercurio_runtime::rejection_log::RejectionLog;
use mercurio_runtime::rejection_recorder::{RejectionBounds, RejectionRecorder};
use mercurio_runtime::tail::{TailHub, TailOptions};
use serde_json::Value;

/// The time of every request: the clock is fixed.
pub const NOW: &str = "2026-11-22T10:00:00Z";

/// The default of a server.
const BODY_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// The service with its store and the keys of two tenants.
pub struct TestApp {
    /// The store of the service.
    pub store: Arc<MemoryStore>,
    /// The state of the handlers.
    pub state: Data<AppState>,
    /// A key of the first tenant with both scopes.
    pub key: SecretKey,
    /// The first tenant and its workspace.
    pub owner: Owner,
    /// A key of the second tenant.
    pub other_key: SecretKey,
    writer: GroupWriter,
    recorder: RejectionRecorder,
}

impl Default for TestApp {
    fn default() -> Self {
        Self::new()
    }
}

impl TestApp {
    /// Starts a service with default limits and one writer thread.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// Starts a service with these limits and one writer thread.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self::with(limits, WriterOptions { threads: 1, ..WriterOptions::default() })
    }

    /// Starts a service with these limits and writer options.
    #[must_use]
    pub fn with(limits: Limits, options: WriterOptions) -> Self {
        Self::start(settings(limits), options)
    }

    /// Starts a service that keeps its documentation off the public address.
    #[must_use]
    pub fn without_public_docs() -> Self {
        let settings = RequestSettings { public_docs: false, ..settings(Limits::default()) };
        Self::start(settings, WriterOptions { threads: 1, ..WriterOptions::default() })
    }

    /// Starts a service with default limits that speaks these protocols.
    #[must_use]
    pub fn with_protocols(protocols: ProtocolOptions) -> Self {
        let settings = RequestSettings { protocols, ..settings(Limits::default()) };
        Self::start(settings, WriterOptions { threads: 1, ..WriterOptions::default() })
    }

    /// Starts a service with default limits that allows pages of these origins only.
    #[must_use]
    pub fn with_cors_origins(origins: &[&str]) -> Self {
        let cors_origins = origins.iter().map(ToString::to_string).collect();
        let settings = RequestSettings { cors_origins, ..settings(Limits::default()) };
        Self::start(settings, WriterOptions { threads: 1, ..WriterOptions::default() })
    }

    fn start(settings: RequestSettings, options: WriterOptions) -> Self {
        let store = Arc::new(MemoryStore::default());
        let clock = Arc::new(FixedClock::at(NOW));
        let at = mercurio_domain::testing::at(NOW);
        let (request, key) = provisioning("acme", 1, at);
        let owner = store.provision(&request).expect("test set-up").api_key.owner;
        let (request, other_key) = provisioning("other", 2, at);
        store.provision(&request).expect("test set-up");
        let writer = GroupWriter::start(
            Arc::clone(&store) as Arc<dyn EventWriter>,
            &options,
            Arc::new(NoopObserver),
        )
        .expect("test set-up");
        let ids = Arc::new(CountingIds::default());
        let log = slog::Logger::root(slog::Discard, slog::o!());
        let recorder = RejectionRecorder::start(
            store.clone(),
            Some(RejectionBounds::default()),
            Arc::new(CountingIds::default()),
            log,
        )
        .expect("test set-up");
        let state = Data::new(AppState {
            store: store.clone(),
            bodies: Bodies::start(BODY_MEMORY_BYTES, 1).expect("test set-up"),
            writer: writer.handle(),
            // No caching: a test sees each change to the catalog at once.
            keys: KeyCache::new(store.clone(), Duration::ZERO),
            key_uses: Arc::default(),
            // Without Redis: this server's buckets decide.
            rate_limits: RateLimits::new(None),
            reads: Reads::new(&ReadOptions::default()),
            tails: TailHub::new("test".to_owned(), TailOptions::default()),
            database: DatabaseProbe::new(
                store.clone(),
                SchemaState::Current,
                Privileges::default(),
            ),
            lifecycle: Lifecycle::default(),
            enricher: Enricher::new(EnricherOptions::default()),
            clock,
            ids,
            metrics: Metrics::new(),
            traces: None,
            quota_usage: QuotaUsage::start(store.clone(), QuotaUsageOptions::default())
                .expect("test set-up"),
            counts_summed_at: Arc::default(),
            retention: Arc::default(),
            refusals: Arc::new(RefusalLog::new(u32::MAX)),
            rejection_log: RejectionLog::new(5),
            rejections: recorder.handle(),
            settings,
        });
        Self { store, state, key, owner, other_key, writer, recorder }
    }

    /// Closes the writer, as at the end of a shutdown. Returns false if it did not finish within 30
    /// seconds.
    #[must_use]
    pub fn close_writer(&self) -> bool {
        self.writer.close(Duration::from_secs(30))
    }

    /// Writes all rejections to the store. Later ones are lost.
    pub fn close_recorder(&self) {
        assert!(self.recorder.close(Duration::from_secs(30)), "rejections are written in time");
    }

    /// Creates a tenant with a key that has these scopes only. `seed` distinguishes tenants.
    pub fn key_with(&self, scopes: &str, seed: u8) -> SecretKey {
        let (mut request, key) =
            provisioning(&format!("tenant {seed}"), seed, mercurio_domain::testing::at(NOW));
        request.scopes = Scopes::parse(scopes).expect("test set-up");
        self.store.provision(&request).expect("test set-up");
        key
    }

    /// Creates a key of the first tenant for pages of these origins only.
    pub fn key_for(&self, origins: &str) -> SecretKey {
        let new = NewApiKey::generate(&[77; ENTROPY_BYTES]);
        let name = Name::parse("site").expect("test set-up");
        let now = mercurio_domain::testing::at(NOW);
        let request = KeyRequest {
            origins: Some(Origins::parse(origins).expect("test set-up")),
            ..KeyRequest::new(self.owner, &new, name, Scopes::WITH_ORIGINS, now)
        };
        self.store.create_api_key(&request).expect("test set-up");
        new.key
    }

    /// Returns the service of an address with all paths.
    pub async fn app(
        &self,
    ) -> impl Service<Request, Response = ServiceResponse<BoxBody>, Error = actix_web::Error> {
        self.surface(Surface::Whole).await
    }

    /// Returns the service of an address with these paths.
    pub async fn surface(
        &self,
        surface: Surface,
    ) -> impl Service<Request, Response = ServiceResponse<BoxBody>, Error = actix_web::Error> + use<>
    {
        let log = slog::Logger::root(slog::Discard, slog::o!());
        init_service(app(self.state.clone(), log, surface)).await
    }

    /// Sends a request to a new instance of the service.
    pub async fn call(&self, request: ApiRequest) -> ApiResponse {
        request.send(&self.app().await).await
    }

    /// Sends a batch with the first tenant's key. `events` is the inside of the JSON array.
    pub async fn batch(&self, events: &str) -> ApiResponse {
        self.call(self.post("/v1/events/batch", format!("{{\"events\":[{events}]}}"))).await
    }

    /// Returns a POST with the first tenant's key and a JSON body.
    pub fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> ApiRequest {
        ApiRequest::new(Method::POST, path)
            .header("authorization", format!("Bearer {}", self.key.expose()))
            .header("content-type", "application/json")
            .body(body)
    }

    /// Returns a GET with the first tenant's key.
    pub fn get(&self, path: &str) -> ApiRequest {
        ApiRequest::new(Method::GET, path)
            .header("authorization", format!("Bearer {}", self.key.expose()))
    }
}

fn settings(limits: Limits) -> RequestSettings {
    RequestSettings {
        limits,
        body_memory_bytes: BODY_MEMORY_BYTES,
        decode_threads: 1,
        slow_request: None,
        request_timeout: Duration::from_secs(30),
        commit_timeout: Duration::from_secs(30),
        read_timeout: Duration::from_secs(30),
        trusted_proxies: TrustedProxies::default(),
        client_ip_header: ClientIpHeader::default(),
        protocols: ProtocolOptions::default(),
        cors_origins: vec!["*".to_owned()],
        public_docs: true,
    }
}

/// A request to a [`TestApp`].
pub struct ApiRequest(TestRequest);

impl ApiRequest {
    /// Returns a request without a key.
    pub fn new(method: Method, path: &str) -> Self {
        Self(TestRequest::with_uri(path).method(method))
    }

    /// Sets a header.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value =
            actix_web::http::header::HeaderValue::from_bytes(value.as_ref()).expect("test set-up");
        let name =
            actix_web::http::header::HeaderName::from_bytes(name.as_bytes()).expect("test set-up");
        Self(self.0.insert_header((name, value)))
    }

    /// Adds a header, even if the request has one of this name.
    pub fn header_again(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value =
            actix_http::header::HeaderValue::from_bytes(value.as_ref()).expect("test set-up");
        Self(self.0.append_header((name, value)))
    }

    /// Sets the body and its length.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self(self.0.insert_header(("content-length", body.len().to_string())).set_payload(body))
    }

    /// Sends the request and reads the whole response.
    pub async fn send(
        self,
        app: &impl Service<Request, Response = ServiceResponse<BoxBody>, Error = actix_web::Error>,
    ) -> ApiResponse {
        let response = self.begin(app).await;
        Self::finish(response).await
    }

    /// Sends the request, and returns the response without end.
    ///
    /// # Errors
    /// The whole response, if it is no stream of events.
    pub async fn open(
        self,
        app: &impl Service<Request, Response = ServiceResponse<BoxBody>, Error = actix_web::Error>,
    ) -> Result<SseBody, ApiResponse> {
        let response = self.begin(app).await;
        let content_type = response.headers().get("content-type").map(HeaderValue::as_bytes);
        if content_type == Some(b"text/event-stream") {
            Ok(SseBody::new(response.into_body()))
        } else {
            Err(Self::finish(response).await)
        }
    }

    async fn begin(
        self,
        app: &impl Service<Request, Response = ServiceResponse<BoxBody>, Error = actix_web::Error>,
    ) -> HttpResponse<BoxBody> {
        match try_call_service(app, self.0.to_request()).await {
            Ok(response) => response.map_into_boxed_body().into_parts().1,
            // A server writes the response of an error in the same way.
            Err(error) => error.error_response(),
        }
    }

    async fn finish(response: HttpResponse<BoxBody>) -> ApiResponse {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = actix_web::body::to_bytes(response.into_body()).await.expect("test set-up");
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        ApiResponse { status, headers, json, body: body.to_vec() }
    }
}

/// A response of a [`TestApp`].
#[derive(Debug)]
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as JSON; `null` if it is not JSON.
    pub json: Value,
    /// The body as sent.
    pub body: Vec<u8>,
}

impl ApiResponse {
    /// Returns the value of a header, if it is ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Asserts that this is a well-formed problem with this status and code.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.json["type"], format!("/problems/{code}"));
        assert_eq!(self.json["status"], status);
        assert!(self.json["title"].is_string() && self.json["detail"].is_string());
        assert_eq!(self.json["request_id"].as_str(), self.header("x-request-id"));
        self
    }

    /// Returns `(pointer, code)` of every error of the event at `index` of a batch.
    pub fn event_errors(&self, index: usize) -> Vec<(&str, &str)> {
        pairs(&self.json["results"][index]["errors"])
    }

    /// Returns `(pointer, code)` of every error of the body.
    pub fn errors(&self) -> Vec<(&str, &str)> {
        pairs(&self.json["errors"])
    }

    /// Returns the status of every event of a batch.
    pub fn statuses(&self) -> Vec<&str> {
        let results = self.json["results"].as_array().map(Vec::as_slice).unwrap_or_default();
        results.iter().filter_map(|result| result["status"].as_str()).collect()
    }
}

fn pairs(errors: &Value) -> Vec<(&str, &str)> {
    let errors = errors.as_array().map(Vec::as_slice).unwrap_or_default();
    errors
        .iter()
        .filter_map(|error| Some((error["pointer"].as_str()?, error["code"].as_str()?)))
        .collect()
}

//! Traces of requests, sent to a collector over OTLP (HTTP with protobuf).
//!
//! [`Traces::begin`] decides whether a request is sampled: the caller's `traceparent` does, where it has one
//! (<https://www.w3.org/TR/trace-context-2/#sampled-flag>), else a share of all. A sampled request has a [`RequestSpan`], which is told
//! of each stage once that is over, so that a request which is not sampled pays for nothing. Spans wait in a bounded queue for a
//! thread that sends them: a collector that is slow or away costs spans, never time.
//!
//! The exporter itself reads `OTEL_EXPORTER_OTLP_HEADERS`
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). Not here: `tracestate`, which stages there are.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{self as sdk, Sampler, SdkTracer, SdkTracerProvider, SpanData};
use slog::{Logger, warn};

use crate::logging::error_chain::chain;
use crate::logging::keys;
use crate::logging::request_line::EventCounts;
use crate::stages::{Stage, Stages};
use crate::tracing::trace_parent::TraceParent;

/// The path of traces below the endpoint of a collector.
/// (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>)
const PATH: &str = "/v1/traces";
/// How often a failure to send is told.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// Where traces go, and how many.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// The collector's base URL, such as `http://localhost:4318`.
    pub endpoint: String,
    /// The share of requests without a `traceparent` that are sampled: 0.0 to 1.0.
    pub sample_ratio: f64,
    /// What calls itself so in the collector.
    pub service_name: &'static str,
    /// Its version.
    pub service_version: &'static str,
}

/// Traces can't be sent to where they should.
#[derive(Debug, thiserror::Error)]
#[error("the exporter of traces can't be made")]
pub struct TraceError(#[from] ExporterBuildError);

/// The way to the collector. Shared by all threads.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Starts the thread that sends. Nothing is sent yet; a collector that is away is told in `log`.
    ///
    /// # Errors
    /// Where the endpoint is no URL.
    pub fn start(settings: &TraceSettings, log: Logger) -> Result<Self, TraceError> {
        let endpoint = format!("{}{PATH}", settings.endpoint.trim_end_matches('/'));
        let inner = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(settings.service_name)
            .with_attribute(KeyValue::new("service.version", settings.service_version))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                settings.sample_ratio,
            ))))
            .with_resource(resource)
            .with_batch_exporter(Watched { inner, complaints: Complaints::new(log) })
            .build();
        let tracer = provider.tracer(settings.service_name);
        Ok(Self { provider, tracer })
    }

    /// The span of a request that begins now, if it is sampled.
    #[must_use]
    pub fn begin(&self, parent: Option<&TraceParent>) -> Option<RequestSpan> {
        let (started_at, started) = (SystemTime::now(), Instant::now());
        let parent = parent
            .and_then(remote_context)
            .map_or_else(Context::new, |remote| Context::new().with_remote_span_context(remote));
        let builder = self
            .tracer
            .span_builder("request")
            .with_kind(SpanKind::Server)
            .with_start_time(started_at);
        let span = builder.start_with_context(&self.tracer, &parent);
        let is_sampled = span.span_context().is_sampled();
        is_sampled.then(|| RequestSpan { span, tracer: self.tracer.clone(), started_at, started })
    }

    /// Sends what waits, for at most `grace`, and nothing after it. Blocks.
    pub fn close(&self, grace: Duration) {
        // What could not be sent was told.
        self.provider.shutdown_with_timeout(grace).ok();
    }
}

fn remote_context(parent: &TraceParent) -> Option<SpanContext> {
    let trace_id = TraceId::from_hex(parent.trace_id()).ok()?;
    let span_id = SpanId::from_hex(parent.parent_id()).ok()?;
    let flags = if parent.sampled() { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    Some(SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE))
}

/// The span of a sampled request.
pub struct RequestSpan {
    span: sdk::Span,
    tracer: SdkTracer,
    started_at: SystemTime,
    started: Instant,
}

impl RequestSpan {
    /// The id of the trace: 32 lower-case hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.span.span_context().trace_id().to_string()
    }

    /// A stage of the request that began at `began` and took so long.
    pub fn stage(&self, name: &'static str, began: Instant, took: Duration) {
        let began_at = self.started_at + began.saturating_duration_since(self.started);
        let parent = Context::new().with_remote_span_context(self.span.span_context().clone());
        let builder =
            self.tracer.span_builder(name).with_kind(SpanKind::Internal).with_start_time(began_at);
        builder.start_with_context(&self.tracer, &parent).end_with_timestamp(began_at + took);
    }

    /// The stages that the request went through.
    pub fn stages(&self, stages: &Stages) {
        for stage in Stage::ALL {
            if let Some((began, ended)) = stages.get(stage) {
                self.stage(stage.as_str(), began, ended.saturating_duration_since(began));
            }
        }
    }

    /// The request is answered. `None` where no route matched: the pattern of a route names the span, never a path.
    pub fn end(
        mut self,
        method: &str,
        route: Option<&str>,
        status: u16,
        events: Option<EventCounts>,
    ) {
        let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        self.span.update_name(name);
        // (https://opentelemetry.io/docs/specs/semconv/http/http-spans/)
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
        if let Some(events) = events {
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new("mercurio.events.accepted", number(events.accepted)));
            attributes.push(KeyValue::new("mercurio.events.duplicates", number(events.duplicates)));
            attributes.push(KeyValue::new("mercurio.events.rejected", number(events.rejected)));
        }
        self.span.set_attributes(attributes);
        if status >= 500 {
            self.span.set_status(Status::error(""));
        }
        self.span.end_with_timestamp(self.started_at + self.started.elapsed());
    }
}

impl fmt::Debug for RequestSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestSpan").field(&self.trace_id()).finish()
    }
}

/// An exporter whose failures are told.
#[derive(Debug)]
struct Watched {
    inner: SpanExporter,
    complaints: Complaints,
}

impl sdk::SpanExporter for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.inner.export(batch).await;
        if let Err(error) = &result {
            self.complaints.note(spans, error);
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Tells of lost spans, now and then.
struct Complaints {
    log: Logger,
    lost: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Complaints {
    fn new(log: Logger) -> Self {
        Self { log, lost: AtomicU64::new(0), told: Mutex::new(None) }
    }

    fn note(&self, spans: u64, error: &(dyn std::error::Error + 'static)) {
        self.lost.fetch_add(spans, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL) {
            *told = Some(Instant::now());
            let lost = self.lost.swap(0, Ordering::Relaxed);
            warn!(self.log, "spans could not be sent"; keys::DROPPED_SPANS => lost, keys::ERROR => chain(error));
        }
    }
}

impl fmt::Debug for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Complaints").field("lost", &self.lost).finish_non_exhaustive()
    }
}

//! Traces of requests, exported to a collector over OTLP (HTTP with protobuf).
//!
//! [`Traces::begin`] samples by the caller's `traceparent` if there is one
//! (<https://www.w3.org/TR/trace-context-2/#sampled-flag>), otherwise by a fixed share. Spans of
//! stages are created after the request, so an unsampled request costs nothing. Finished spans wait
//! in a bounded queue for the export thread: a slow or absent collector loses spans and delays no
//! request.
//!
//! The exporter reads `OTEL_EXPORTER_OTLP_HEADERS` itself
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    self as sdk, BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
    SpanData,
};
use slog::{Logger, warn};

use crate::logging::error_chain::chain;
use crate::logging::keys;
use crate::logging::request_line::EventCounts;
use crate::stages::{Stage, Stages};
use crate::tracing::trace_parent::TraceParent;

/// Path below the collector's base URL
/// (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>).
const PATH: &str = "/v1/traces";
/// Maximum number of finished spans that wait for their export.
const MAX_WAITING: u64 = 2_048;
/// Minimum time between two warnings about lost spans.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Settings of the export.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// The collector's base URL, such as `http://localhost:4318`.
    pub endpoint: String,
    /// Share of requests to sample if the caller sends no `traceparent`: 0.0 to 1.0.
    pub sample_ratio: f64,
    /// `service.name` in the collector.
    pub service_name: &'static str,
    /// `service.version` in the collector.
    pub service_version: &'static str,
}

/// The exporter cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create the trace exporter")]
pub struct TraceError(#[from] ExporterBuildError);

/// Creates and exports spans. Shared by all threads.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    queue: Arc<SpanQueue>,
}

impl Traces {
    /// Starts the export thread. Nothing is sent yet; lost spans are logged to `log`.
    ///
    /// # Errors
    /// If the endpoint is not a URL.
    pub fn start(settings: &TraceSettings, log: Logger) -> Result<Self, TraceError> {
        // A base URL may end with a slash, and the path begins with one.
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
        let queue = Arc::new(SpanQueue { waiting: AtomicU64::new(0), lost: LostSpans::new(log) });
        let exporter = LoggingExporter { inner, queue: Arc::clone(&queue) };
        // It has a thread and a bounded queue, so no request waits for it.
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(
                BatchConfigBuilder::default().with_max_queue_size(MAX_WAITING as usize).build(),
            )
            .build();
        let provider = SdkTracerProvider::builder()
            // The caller's decision overrides our share, so a trace is whole or absent.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                settings.sample_ratio,
            ))))
            .with_resource(resource)
            .with_span_processor(BoundedProcessor { inner: processor, queue: Arc::clone(&queue) })
            .build();
        let tracer = provider.tracer(settings.service_name);
        Ok(Self { provider, tracer, queue })
    }

    /// Begins the span of a request; `None` if the request is not sampled.
    #[must_use]
    pub fn begin(&self, parent: Option<&TraceParent>) -> Option<RequestSpan> {
        // Spans need the wall clock. Durations need a monotonic one, which no clock adjustment
        // changes.
        let (started_at, started) = (SystemTime::now(), Instant::now());
        // A new context: an ambient span of the thread is not the parent.
        let root = Context::new();
        let parent = match parent {
            Some(parent) => root.with_remote_span_context(parent.span_context().clone()),
            None => root,
        };
        let builder = self
            .tracer
            .span_builder("request")
            .with_kind(SpanKind::Server)
            .with_start_time(started_at);
        let span = builder.start_with_context(&self.tracer, &parent);
        // An unsampled request keeps no span, so its stages cost nothing.
        let is_sampled = span.span_context().is_sampled();
        is_sampled.then(|| RequestSpan { span, tracer: self.tracer.clone(), started_at, started })
    }

    /// Exports the finished spans for at most `grace`, then stops. Blocks.
    pub fn close(&self, grace: Duration) {
        // The exporter has counted every failure.
        self.provider.shutdown_with_timeout(grace).ok();
        self.queue.lost.log_rest();
    }
}

/// The span of a sampled request.
pub struct RequestSpan {
    span: sdk::Span,
    tracer: SdkTracer,
    started_at: SystemTime,
    started: Instant,
}

impl RequestSpan {
    /// Returns the trace id: 32 lower-case hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.span.span_context().trace_id().to_string()
    }

    /// Records a finished stage of the request.
    pub fn stage(&self, name: &'static str, began: Instant, took: Duration) {
        let began_at = self.started_at + began.saturating_duration_since(self.started);
        // The parent span is still open and owned here; a child needs only its ids.
        let parent = Context::new().with_remote_span_context(self.span.span_context().clone());
        let builder =
            self.tracer.span_builder(name).with_kind(SpanKind::Internal).with_start_time(began_at);
        builder.start_with_context(&self.tracer, &parent).end_with_timestamp(began_at + took);
    }

    /// Records all finished stages.
    pub fn stages(&self, stages: &Stages) {
        for stage in Stage::ALL {
            if let Some(time) = stages.get(stage) {
                self.stage(stage.as_str(), time.started, time.duration());
            }
        }
    }

    /// Ends the span. `route` is the matched pattern, never a path, because it names the span.
    pub fn end(
        mut self,
        method: &str,
        route: Option<&str>,
        status: u16,
        events: Option<EventCounts>,
    ) {
        // The semantic conventions name a server span `{method} {route}`, or by the method alone.
        let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        self.span.update_name(name);
        // Names: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
        if let Some(events) = events {
            // OpenTelemetry has no unsigned integers.
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new("mercurio.events.accepted", number(events.accepted)));
            attributes.push(KeyValue::new("mercurio.events.duplicates", number(events.duplicates)));
            attributes.push(KeyValue::new("mercurio.events.rejected", number(events.rejected)));
        }
        self.span.set_attributes(attributes);
        // A status of 4xx is no error of the server (semantic conventions, HTTP spans, Status).
        if status >= 500 {
            self.span.set_status(Status::error(""));
        }
        // Not the wall clock: someone may have adjusted it since the start.
        self.span.end_with_timestamp(self.started_at + self.started.elapsed());
    }
}

impl fmt::Debug for RequestSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestSpan").field(&self.trace_id()).finish()
    }
}

/// The number of finished spans that wait for their export, and the lost ones.
#[derive(Debug)]
struct SpanQueue {
    waiting: AtomicU64,
    lost: LostSpans,
}

/// Drops and counts spans beyond the queue of the SDK, which would drop them silently.
#[derive(Debug)]
struct BoundedProcessor {
    inner: BatchSpanProcessor,
    queue: Arc<SpanQueue>,
}

impl sdk::SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut sdk::Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        // Relaxed: a counter orders nothing.
        if self.queue.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
            return self.queue.lost.record(1, "the queue is full");
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Logs the failures of an exporter: the SDK itself drops the spans silently.
#[derive(Debug)]
struct LoggingExporter {
    inner: SpanExporter,
    queue: Arc<SpanQueue>,
}

impl sdk::SpanExporter for LoggingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        // Counted first, because the exporter consumes the batch.
        let spans = batch.len() as u64;
        let result = self.inner.export(batch).await;
        self.queue.waiting.fetch_sub(spans, Ordering::Relaxed);
        if let Err(error) = &result {
            self.queue.lost.record(spans, &chain(error));
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

/// Logs the number of lost spans, at most once per [`WARNING_INTERVAL`].
struct LostSpans {
    log: Logger,
    not_logged: AtomicU64,
    logged_at: Mutex<Option<Instant>>,
}

impl LostSpans {
    fn new(log: Logger) -> Self {
        Self { log, not_logged: AtomicU64::new(0), logged_at: Mutex::new(None) }
    }

    fn record(&self, spans: u64, reason: &str) {
        self.not_logged.fetch_add(spans, Ordering::Relaxed);
        // The lock makes concurrent failures share one line.
        let mut logged_at = self.logged_at.lock().unwrap_or_else(PoisonError::into_inner);
        if logged_at.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL) {
            *logged_at = Some(Instant::now());
            let lost = self.not_logged.swap(0, Ordering::Relaxed);
            warn!(self.log, "spans dropped"; keys::DROPPED_SPANS => lost, keys::ERROR => reason);
        }
    }

    /// Logs those not logged yet, at the end.
    fn log_rest(&self) {
        let lost = self.not_logged.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!(self.log, "spans dropped"; keys::DROPPED_SPANS => lost);
        }
    }
}

impl fmt::Debug for LostSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LostSpans").field("not_logged", &self.not_logged).finish_non_exhaustive()
    }
}

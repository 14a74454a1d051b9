//! Reading request bodies: media type, size limit, decompression, timeout and memory.
//!
//! A handler takes [`actix_web::web::Payload`] and calls [`Bodies::read`]. actix's own extractors
//! are not used: their decompression has no limit. Not here: parsing.

mod budget;
mod decode;
mod decode_pool;
mod headers;
mod network;
#[cfg(test)]
mod tests;
mod turns;

use crate::middleware::RequestFacts;
use crate::problem::Problem;
use crate::transport::Continuation;
use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::HeaderMap;
use actix_web::web::{Bytes, BytesMut, Payload};
pub use budget::{Bound, Payer};
use budget::{Budget, Charge, OutOfRoom};
use decode::{Coding, DecodeError};
use decode_pool::{DecodePool, Job, JobError};
use futures_core::Stream;
pub(crate) use headers::{CODINGS, MEDIA_TYPES};
use mercurio_domain::TenantId;
use mercurio_observability::Metrics;
pub use network::ClientNetwork;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Maximum bytes read from a refused body. A client that sends its whole body before it reads would
/// otherwise lose the response to a connection reset. Beyond this limit, the lingering close of
/// `transport` applies.
const DRAIN_MAX_BYTES: u64 = 4 * 1024 * 1024;
// Enough for 4 MiB at 17 Mbit/s.
const DRAIN_MAX_TIME: Duration = Duration::from_secs(2);

/// The reason of a refused body that begins like JSON.
const NOT_COMPRESSED: &str = "is plain JSON; compress it, or omit the header Content-Encoding";

/// The limits of a body, and its payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Pays for the body's memory, and takes its turn in the decoding.
    pub payer: Payer,
    /// Maximum size in bytes, after decompression.
    pub max_bytes: usize,
    /// Maximum time until the whole body has arrived.
    pub timeout: Duration,
    /// What its headers must say.
    pub headers: BodyHeaders,
}

/// What the headers of a body must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyHeaders {
    /// JSON, and its coding.
    Exact,
    /// Its coding. The body is data of any kind, whose first bytes may be those of a coding.
    Coding,
    /// Anything: many clients of other services send a wrong type, and compressed bodies without a
    /// coding. The first bytes of a compressed body are never those of JSON, so they decide.
    Any,
}

/// A JSON body. Its memory counts as in use until it is dropped.
pub struct Body {
    /// The decompressed bytes.
    pub bytes: Bytes,
    charge: Charge,
}

impl Body {
    /// Lets the tenant pay for a body that was read before its key was known.
    ///
    /// # Errors
    /// [`BodyError::Overloaded`]: the tenant has too many bodies in flight.
    pub fn pass_to(&mut self, tenant_id: TenantId) -> Result<(), BodyError> {
        Ok(self.charge.pass_to(Payer::Tenant(tenant_id))?)
    }

    /// Charges `bytes` more, for a text out of the body that is larger than it.
    ///
    /// # Errors
    /// [`BodyError`]: no room now, or 413 if its payer can never have as much.
    pub fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        if !self.charge.fits(bytes) {
            // With 503, its client would send it for ever.
            let limit = self.charge.max_bytes();
            return Err(Problem::PayloadTooLarge { limit, actual: None }.into());
        }
        Ok(self.charge.add(bytes)?)
    }
}

/// Why a body was not read.
#[derive(Debug)]
pub enum BodyError {
    /// Too many bodies are in flight, or wait to be decompressed.
    Overloaded(Bound),
    /// The body is at fault: 415 for another media type or coding, 413 over the size limit, 408
    /// after the timeout, 400 for an incomplete body or broken compressed data.
    Refused(Problem),
}

impl From<Problem> for BodyError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<OutOfRoom> for BodyError {
    fn from(OutOfRoom(bound): OutOfRoom) -> Self {
        Self::Overloaded(bound)
    }
}

/// The memory and the threads for all bodies of a server.
pub struct Bodies {
    budget: Arc<Budget>,
    decoders: DecodePool,
}

/// The memory of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyMemory {
    /// Bytes of bodies in flight.
    pub bytes: usize,
    /// Maximum bytes.
    pub capacity: usize,
}

impl Bodies {
    /// Starts the threads. `max_bytes` bounds all bodies in flight, half of it those of one
    /// tenant, a quarter those of all unknown clients, and a sixteenth those of one network.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn start(max_bytes: usize, decode_threads: usize) -> io::Result<Self> {
        let decoders = DecodePool::start(decode_threads)?;
        Ok(Self { budget: Arc::new(Budget::new(max_bytes)), decoders })
    }

    /// Returns the memory in use.
    #[must_use]
    pub fn memory(&self) -> BodyMemory {
        BodyMemory { bytes: self.budget.used(), capacity: self.budget.max_bytes() }
    }

    /// Reads a JSON body, and decompresses it on another thread.
    ///
    /// Charges the bytes as they arrive and those of the decompressed body. An uncompressed body in
    /// one chunk is not copied.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub async fn read(
        &self,
        request: &HttpRequest,
        payload: Payload,
        limits: BodyLimits,
        metrics: &Metrics,
    ) -> Result<Body, BodyError> {
        let mut payload = Expected { payload: payload.into_inner(), request };
        let read = self.read_stream(request.headers(), &mut payload, limits).await?;
        let ReadBody { body, coding, sent_bytes } = read;
        let size = body.bytes.len() as u64;
        metrics.record_body(coding.map_or("identity", Coding::name), sent_bytes, size);
        RequestFacts::update(request, |facts| facts.body_bytes = Some(size));
        Ok(body)
    }

    async fn read_stream<S>(
        &self,
        headers: &HeaderMap,
        payload: &mut S,
        mut limits: BodyLimits,
    ) -> Result<ReadBody, BodyError>
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        // Both before the body: a refusal costs no transfer.
        if limits.headers == BodyHeaders::Exact {
            headers::check_media_type(headers)?;
        }
        let mut coding = headers::coding(headers)?;
        let length = headers::length(headers);
        // A larger body could never be charged: its client would get 503 for ever.
        limits.max_bytes = limits.max_bytes.min(self.budget.largest_body(limits.payer));
        let too_large = |actual| Problem::PayloadTooLarge { limit: limits.max_bytes, actual };

        // Refused before the first byte is stored.
        if length.is_some_and(|length| length > limits.max_bytes as u64) {
            // A client that asks before it sends its body sends none after a refusal.
            if !headers::expects_continue(headers) {
                drain(payload, length).await;
            }
            // The length of a compressed body is not the size the limit applies to.
            return Err(too_large(length.filter(|_| coding.is_none())).into());
        }
        let mut charge = Charge::new(&self.budget, limits.payer);
        // One timeout for the whole body: a limit per chunk would allow a body that never ends.
        let collecting = collect(payload, length, limits.max_bytes, &mut charge);
        let collected = tokio::time::timeout(limits.timeout, collecting).await;
        // No drain after a timeout: the client has used its time already.
        let sent = match collected.map_err(|_| Problem::RequestTimeout)? {
            Ok(sent) => sent,
            Err(CollectError::TooLarge) => {
                drain(payload, length).await;
                return Err(too_large(None).into());
            }
            Err(CollectError::Incomplete) => {
                let detail = "The request body is incomplete.";
                return Err(Problem::BadRequest { detail }.into());
            }
            // At once, without a drain: reading on would take more of what is missing.
            Err(CollectError::OutOfRoom(bound)) => return Err(BodyError::Overloaded(bound)),
        };
        if limits.headers == BodyHeaders::Any {
            coding = Coding::of_bytes(&sent, coding);
        }
        // For the metric of the compression ratio.
        let sent_bytes = sent.len() as u64;
        let bytes = match coding {
            // An empty body is malformed JSON, whatever its coding.
            Some(coding) if !sent.is_empty() => {
                self.decode(coding, sent, limits, &mut charge).await?
            }
            _ => sent,
        };
        Ok(ReadBody { body: Body { bytes, charge }, coding, sent_bytes })
    }

    async fn decode(
        &self,
        coding: Coding,
        sent: Bytes,
        BodyLimits { payer, max_bytes: limit, .. }: BodyLimits,
        charge: &mut Charge,
    ) -> Result<Bytes, BodyError> {
        let sent_bytes = sent.len();
        let is_json = sent.trim_ascii_start().starts_with(b"{");
        let decoded = self.decoders.decode(Job { payer, coding, data: sent, limit }).await;
        let bytes = decoded.map_err(|error| match error {
            JobError::Full => BodyError::Overloaded(Bound::Decoding),
            // The decoder stops at the limit, so the full size is unknown.
            JobError::Refused(DecodeError::TooLarge) => {
                Problem::PayloadTooLarge { limit, actual: None }.into()
            }
            JobError::Refused(error) => {
                // Brotli and raw deflate data may begin in any way, so only after the error.
                let reason = match error {
                    DecodeError::Invalid if is_json => NOT_COMPRESSED.to_owned(),
                    error => error.to_string(),
                };
                Problem::MalformedEncoding { coding: coding.name(), reason }.into()
            }
            JobError::Failed => Problem::Internal.into(),
        })?;
        // Not before: the size was unknown, and as many bodies as there are threads are not charged
        // at a time.
        charge.add(bytes.len())?;
        // The decoder has dropped the body as it was sent.
        charge.give_back(sent_bytes);
        Ok(bytes.into())
    }
}

/// A body, and its form on the wire.
struct ReadBody {
    body: Body,
    coding: Option<Coding>,
    sent_bytes: u64,
}

/// A payload whose client may wait for `100 Continue`: the first read asks for it.
struct Expected<'a> {
    payload: actix_web::dev::Payload,
    request: &'a HttpRequest,
}

impl Stream for Expected<'_> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.request.head().expect() {
            Continuation::request_body(self.request);
        }
        Pin::new(&mut self.payload).poll_next(cx)
    }
}

enum CollectError {
    TooLarge,
    Incomplete,
    OutOfRoom(Bound),
}

async fn collect<S>(
    payload: &mut S,
    length: Option<u64>,
    limit: usize,
    charge: &mut Charge,
) -> Result<Bytes, CollectError>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    // `first` keeps a single chunk without a copy, `all` several.
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(chunk) = next(payload).await {
        // actix reports broken chunked framing and a lost connection this way.
        let chunk = chunk.map_err(|_| CollectError::Incomplete)?;
        let read = first.len() + all.len();
        // `read` never exceeds the limit.
        if chunk.len() > limit - read {
            return Err(CollectError::TooLarge);
        }
        charge.add(chunk.len()).map_err(|OutOfRoom(bound)| CollectError::OutOfRoom(bound))?;
        // Most bodies arrive in one chunk: no copy.
        if read == 0 {
            first = chunk;
            continue;
        }
        let now = read + chunk.len();
        if now > all.capacity() {
            // Not all that is announced: a client that then sends nothing pays for little.
            let most = length.map_or(limit, |length| length as usize);
            all.reserve((2 * now).min(most).max(now) - all.len());
        }
        all.extend_from_slice(&std::mem::take(&mut first));
        all.extend_from_slice(&chunk);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads and discards a body of no use, or the rest of a refused one, up to the limits above;
/// nothing if its length is over them.
pub async fn drain<S>(payload: &mut S, length: Option<u64>)
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    if length.is_some_and(|length| length > DRAIN_MAX_BYTES) {
        return;
    }
    let read = async {
        let mut drained = 0;
        while let Some(Ok(chunk)) = next(payload).await {
            // The announced length may be missing.
            drained += chunk.len() as u64;
            if drained > DRAIN_MAX_BYTES {
                return;
            }
        }
    };
    // The response follows in any case.
    let _ = tokio::time::timeout(DRAIN_MAX_TIME, read).await;
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

//! Reading request bodies: media type, size limit, decompression and timeout.
//!
//! A handler takes [`actix_web::web::Payload`] and calls [`read`]. actix's own extractors are not
//! used: their decompression has no limit. Not here: parsing.

mod decode;
mod headers;
#[cfg(test)]
mod tests;

use crate::middleware::RequestFacts;
use crate::problem::Problem;
use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::HeaderMap;
use actix_web::web::{Bytes, BytesMut, Payload};
use decode::{Coding, DecodeError};
use futures_core::Stream;
pub(crate) use headers::{CODINGS, MEDIA_TYPES};
use mercurio_observability::Metrics;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

/// Maximum bytes read from a refused body. A client that sends its whole body before it reads would
/// otherwise lose the response to a connection reset. Beyond this limit, the lingering close of
/// `transport` applies.
const DRAIN_MAX_BYTES: u64 = 4 * 1024 * 1024;
// Enough for 4 MiB at 17 Mbit/s.
const DRAIN_MAX_TIME: Duration = Duration::from_secs(2);

/// The limits of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Maximum size in bytes, after decompression.
    pub max_bytes: usize,
    /// Maximum time until the whole body has arrived.
    pub timeout: Duration,
}

/// Reads a JSON body.
///
/// Holds at most `max_bytes` of the body as sent, and at most twice that of the decompressed body.
/// An uncompressed body in one chunk is not copied. Decompression blocks for a few milliseconds per
/// megabyte.
///
/// # Errors
/// 415 for another media type or coding, 413 over the size limit, 408 after the timeout, 400 for an incomplete body or broken
/// compressed data.
pub async fn read(
    request: &HttpRequest,
    payload: Payload,
    limits: BodyLimits,
    metrics: &Metrics,
) -> Result<Bytes, Problem> {
    let mut payload = payload.into_inner();
    let Body { bytes, coding, sent_bytes } =
        read_stream(request.headers(), &mut payload, limits).await?;
    let size = bytes.len() as u64;
    metrics.record_body(coding.map_or("identity", Coding::name), sent_bytes, size);
    RequestFacts::update(request, |facts| facts.body_bytes = Some(size));
    Ok(bytes)
}

/// A decompressed body, and its form on the wire.
#[derive(Debug)]
struct Body {
    bytes: Bytes,
    coding: Option<Coding>,
    sent_bytes: u64,
}

async fn read_stream<S>(
    headers: &HeaderMap,
    payload: &mut S,
    limits: BodyLimits,
) -> Result<Body, Problem>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    // Both before the body: a refusal costs no transfer.
    headers::check_media_type(headers)?;
    let coding = headers::coding(headers)?;
    let length = headers::length(headers);
    let too_large = |actual| Problem::PayloadTooLarge { limit: limits.max_bytes, actual };

    // Refused before the first byte is stored.
    if length.is_some_and(|length| length > limits.max_bytes as u64) {
        drain(payload, length).await;
        // The length of a compressed body is not the size the limit applies to.
        return Err(too_large(length.filter(|_| coding.is_none())));
    }
    // One timeout for the whole body: a limit per chunk would allow a body that never ends.
    let collected =
        tokio::time::timeout(limits.timeout, collect(payload, length, limits.max_bytes)).await;
    // No drain after a timeout: the client has used its time already.
    let sent = match collected.map_err(|_| Problem::RequestTimeout)? {
        Ok(sent) => sent,
        Err(CollectError::TooLarge) => {
            drain(payload, length).await;
            return Err(too_large(None));
        }
        Err(CollectError::Incomplete) => {
            return Err(Problem::BadRequest { detail: "The request body is incomplete." });
        }
    };
    // For the metric of the compression ratio.
    let sent_bytes = sent.len() as u64;
    let bytes = match coding {
        // An empty body is malformed JSON, whatever its coding.
        Some(coding) if !sent.is_empty() => match coding.decode(&sent, limits.max_bytes) {
            Ok(body) => body.into(),
            // The decoder stops at the limit, so the full size is unknown.
            Err(DecodeError::TooLarge) => return Err(too_large(None)),
            Err(DecodeError::Invalid) => {
                return Err(Problem::MalformedEncoding { coding: coding.name() });
            }
        },
        _ => sent,
    };
    Ok(Body { bytes, coding, sent_bytes })
}

enum CollectError {
    TooLarge,
    Incomplete,
}

async fn collect<S>(
    payload: &mut S,
    length: Option<u64>,
    limit: usize,
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
        // Most bodies arrive in one chunk: no copy.
        if read == 0 {
            first = chunk;
            continue;
        }
        if all.is_empty() {
            // The announced length is within the limit, as checked before, or missing.
            all.reserve(length.map_or(0, |length| length as usize).max(read + chunk.len()));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads and discards the rest of a refused body, up to the limits above; nothing if its length is
/// over them.
async fn drain<S>(payload: &mut S, length: Option<u64>)
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

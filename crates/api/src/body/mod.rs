//! Reading a request's body: of the right type, decompressed, never above a limit, in time.
//!
//! A handler takes [`actix_web::web::Payload`] and calls [`read`]. The framework's own extractors are not used: their
//! decompression doesn't stop at a limit. Not here: what the bytes mean.

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

/// How much of a body that is refused is still read, so that a client that sends first and listens later gets to hear
/// why. Beyond it, and for bodies known to be larger, the transport's lingering close does what it can.
const DRAIN_MAX_BYTES: u64 = 4 * 1024 * 1024;
const DRAIN_MAX_TIME: Duration = Duration::from_secs(2);

/// What a body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// The most bytes, after decompression.
    pub max_bytes: usize,
    /// The longest the whole body may take to arrive.
    pub timeout: Duration,
}

/// Reads the body of a request that takes JSON.
///
/// Holds at most `max_bytes` as sent, and twice that decompressed. A body in one piece that is not compressed is not
/// copied. Decompression blocks: a few milliseconds for a megabyte.
///
/// # Errors
/// The problem to answer with: 415 for another media type or coding, 413 above the limit, 408 too late, 400 for a
/// body that breaks off or is not of the coding it says it is.
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
    RequestFacts::tell(request, |facts| facts.body_bytes = Some(size));
    Ok(bytes)
}

/// A body after decompression, and how it was sent.
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
    headers::check_media_type(headers)?;
    let coding = headers::coding(headers)?;
    let length = headers::length(headers);
    let too_large = |actual| Problem::PayloadTooLarge { limit: limits.max_bytes, actual };

    if length.is_some_and(|length| length > limits.max_bytes as u64) {
        drain(payload, length).await;
        return Err(too_large(length.filter(|_| coding.is_none())));
    }
    let collected =
        tokio::time::timeout(limits.timeout, collect(payload, length, limits.max_bytes)).await;
    let sent = match collected.map_err(|_| Problem::RequestTimeout)? {
        Ok(sent) => sent,
        Err(Interrupted::TooLarge) => {
            drain(payload, length).await;
            return Err(too_large(None));
        }
        Err(Interrupted::Broken) => {
            return Err(Problem::BadRequest { detail: "The request body broke off." });
        }
    };
    let sent_bytes = sent.len() as u64;
    let bytes = match coding {
        Some(coding) if !sent.is_empty() => match coding.decode(&sent, limits.max_bytes) {
            Ok(body) => body.into(),
            Err(DecodeError::TooLarge) => return Err(too_large(None)),
            Err(DecodeError::Broken) => return Err(broken(coding)),
        },
        _ => sent,
    };
    Ok(Body { bytes, coding, sent_bytes })
}

fn broken(coding: Coding) -> Problem {
    let detail = format!(
        "The body is not sound {} data: it is damaged, stops short, or goes on behind its end.",
        coding.name()
    );
    Problem::MalformedJson { line: 1, column: 1, detail }
}

enum Interrupted {
    TooLarge,
    Broken,
}

async fn collect<S>(
    payload: &mut S,
    length: Option<u64>,
    limit: usize,
) -> Result<Bytes, Interrupted>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(chunk) = next(payload).await {
        let chunk = chunk.map_err(|_| Interrupted::Broken)?;
        let read = first.len() + all.len();
        if chunk.len() > limit - read {
            return Err(Interrupted::TooLarge);
        }
        if read == 0 {
            first = chunk;
            continue;
        }
        if all.is_empty() {
            // The announced length is within the limit, or the framework has none to tell.
            all.reserve(length.map_or(0, |length| length as usize).max(read + chunk.len()));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads on and throws away what it reads: to the end, up to the bounds, or not at all where the rest is known to be
/// beyond them.
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
            drained += chunk.len() as u64;
            if drained > DRAIN_MAX_BYTES {
                return;
            }
        }
    };
    // Either way the answer is next.
    let _ = tokio::time::timeout(DRAIN_MAX_TIME, read).await;
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

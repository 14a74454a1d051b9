//! Bodies as a stream of chunks, without a socket.

use super::*;
use actix_web::ResponseError;
use actix_web::http::header::{HeaderName, HeaderValue};
use std::collections::VecDeque;
use std::task::{Context, Poll};

/// A body in chunks. Counts the bytes read from it.
struct Chunks {
    chunks: VecDeque<Result<Bytes, PayloadError>>,
    taken: usize,
    /// The body ends after its chunks; otherwise it never ends.
    ends: bool,
}

impl Chunks {
    fn new(chunks: &[&[u8]]) -> Self {
        let chunks = chunks.iter().map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        Self { chunks, taken: 0, ends: true }
    }
}

impl Stream for Chunks {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.chunks.pop_front() {
            Some(chunk) => {
                self.taken += chunk.as_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(chunk))
            }
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

const LIMITS: BodyLimits = BodyLimits {
    payer: tenant(1),
    max_bytes: 10,
    timeout: Duration::from_secs(30),
    headers: BodyHeaders::Exact,
};

const fn tenant(id: i64) -> Payer {
    Payer::Tenant(TenantId(id))
}

/// An unknown client of a network.
fn unknown(number: u8) -> BodyLimits {
    let address = std::net::IpAddr::from([203, 0, 113, number]);
    BodyLimits { payer: Payer::Unknown(address.into()), ..LIMITS }
}

/// Room for the 10 bytes of a body and of its coded form, twice.
fn bodies() -> Bodies {
    Bodies::start(40, 1).unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

async fn read_bytes(
    headers: &HeaderMap,
    body: &mut Chunks,
    limits: BodyLimits,
) -> Result<Bytes, Problem> {
    let read = bodies().read_stream(headers, body, limits).await;
    read.map(|read| read.body.bytes).map_err(|error| match error {
        BodyError::Refused(problem) => problem,
        BodyError::Overloaded(bound) => panic!("{bound:?}"),
    })
}

async fn read(pairs: &[(&'static str, &str)], mut body: Chunks) -> Result<Bytes, (String, u16)> {
    let result = read_bytes(&headers(pairs), &mut body, LIMITS).await;
    result.map_err(|problem| (problem.code(), problem.status_code().as_u16()))
}

#[actix_web::test]
async fn body_is_read_up_to_the_limit_in_any_chunks() {
    for chunks in [
        &[&b"0123456789"[..]][..],
        &[b"", b"0123", b"", b"456789", b""],
        &[b"0", b"1", b"23456789"],
    ] {
        assert_eq!(read(&[], Chunks::new(chunks)).await.unwrap(), "0123456789", "{chunks:?}");
    }
    assert_eq!(read(&[], Chunks::new(&[])).await.unwrap(), "");
    assert_eq!(read(&[("content-encoding", "gzip")], Chunks::new(&[])).await.unwrap(), "");
}

#[actix_web::test]
async fn body_in_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"{}");
    // The same memory, not only the same bytes.
    let address = chunk.as_ptr();
    let mut body = Chunks { chunks: [Ok(chunk)].into(), taken: 0, ends: true };
    let read = read_bytes(&HeaderMap::new(), &mut body, LIMITS).await.unwrap();
    assert_eq!(read.as_ptr(), address);
}

#[actix_web::test]
async fn body_over_the_limit_is_refused_with_its_size_if_known() {
    for (pairs, expected) in [
        (&[][..], None),
        (&[("content-length", "11")], Some(11)),
        (&[("content-length", "11"), ("content-encoding", "identity")], Some(11)),
        (&[("content-length", "11"), ("content-encoding", "gzip")], None),
        (&[("content-encoding", "gzip")], None),
    ] {
        let mut body = Chunks::new(&[b"012345", b"6789a"]);
        match read_bytes(&headers(pairs), &mut body, LIMITS).await {
            Err(Problem::PayloadTooLarge { limit: 10, actual }) => {
                assert_eq!(actual, expected, "{pairs:?}");
            }
            other => panic!("{pairs:?}: {other:?}"),
        }
    }
}

#[actix_web::test]
async fn refused_body_is_drained_up_to_a_limit() {
    const CHUNK: &[u8] = &[b' '; 64 * 1024];
    const MEBIBYTE: usize = 1024 * 1024;
    for (pairs, chunks, expected) in [
        (&[][..], 16, MEBIBYTE..=MEBIBYTE),
        (&[("content-length", "1048576")], 16, MEBIBYTE..=MEBIBYTE),
        (&[], 16 * 100, 4 * MEBIBYTE..=5 * MEBIBYTE),
        (&[("content-length", "104857600")], 16 * 100, 0..=0),
    ] {
        let mut body = Chunks::new(&vec![CHUNK; chunks]);
        let result = read_bytes(&headers(pairs), &mut body, LIMITS).await;
        assert!(matches!(result, Err(Problem::PayloadTooLarge { .. })), "{result:?}");
        assert!(expected.contains(&body.taken), "{} of {}", body.taken, chunks * CHUNK.len());
    }
}

#[actix_web::test]
async fn incomplete_body_is_a_bad_request() {
    for error in
        [PayloadError::Incomplete(None), PayloadError::EncodingCorrupted, PayloadError::Overflow]
    {
        let body = Chunks {
            chunks: [Ok(Bytes::from_static(b"{")), Err(error)].into(),
            taken: 0,
            ends: true,
        };
        assert_eq!(read(&[], body).await, Err(("bad_request".to_owned(), 400)));
    }
}

#[actix_web::test]
async fn slow_body_is_a_timeout() {
    let mut body = Chunks { ends: false, ..Chunks::new(&[b"{"]) };
    let limits = BodyLimits { timeout: Duration::from_millis(1), ..LIMITS };
    let result = read_bytes(&HeaderMap::new(), &mut body, limits).await;
    assert!(matches!(result, Err(Problem::RequestTimeout)), "{result:?}");
}

#[actix_web::test]
async fn body_without_room_is_refused_at_once() {
    let bodies = bodies();
    let (none, gzip) = (HeaderMap::new(), headers(&[("content-encoding", "gzip")]));
    let other = BodyLimits { payer: tenant(2), ..LIMITS };
    let full = || Chunks::new(&[b"0123456789"]);
    let first = bodies.read_stream(&none, &mut full(), LIMITS).await.unwrap();
    let second = bodies.read_stream(&none, &mut full(), LIMITS).await.unwrap();
    assert_eq!(bodies.memory(), BodyMemory { bytes: 20, capacity: 40 });
    // Half of 40 is taken. The rest of this body never comes.
    let mut endless = Chunks { ends: false, ..Chunks::new(&[b"0"]) };
    let refused = bodies.read_stream(&none, &mut endless, LIMITS).await;
    assert!(matches!(refused, Err(BodyError::Overloaded(Bound::Tenant))));
    let of_other = bodies.read_stream(&none, &mut full(), other).await.unwrap();
    drop(first);
    let third = bodies.read_stream(&none, &mut full(), LIMITS).await.unwrap();
    drop((second, third, of_other));
    assert_eq!(bodies.memory().bytes, 0);
    // A compressed body counts with its content: 10 bytes in a stored block.
    let deflated = b"\x01\x0a\x00\xf5\xff0123456789";
    assert!(deflated.len() > 10);
    let deflate = headers(&[("content-encoding", "deflate")]);
    let limits = BodyLimits { max_bytes: 100, ..LIMITS };
    let wide = Bodies::start(200, 1).unwrap();
    let body = wide.read_stream(&deflate, &mut Chunks::new(&[deflated]), limits).await.unwrap();
    assert_eq!(wide.memory().bytes, 10);
    drop(body);
    // A refused one leaves nothing behind.
    assert!(wide.read_stream(&gzip, &mut full(), limits).await.is_err());
    assert_eq!(wide.memory().bytes, 0);
}

#[actix_web::test]
async fn network_of_unknown_clients_leaves_room_to_others() {
    // A sixteenth is for one network: 20 bytes.
    let bodies = Bodies::start(320, 1).unwrap();
    let (none, deflate) = (HeaderMap::new(), headers(&[("content-encoding", "deflate")]));
    let half = || Chunks::new(&[b"01", b"234"]);
    let first = bodies.read_stream(&none, &mut half(), unknown(1)).await.unwrap();
    // 10 zeros, which count together with their coded form for a moment: all of the room.
    let mut zeros = Chunks::new(&[b"30", b"\x80\x01\x00"]);
    let second = bodies.read_stream(&deflate, &mut zeros, unknown(1)).await.unwrap();
    assert_eq!((&*second.body.bytes, bodies.memory().bytes), (&b"0000000000"[..], 15));
    // The rest of this body never comes.
    let mut endless = Chunks { ends: false, ..Chunks::new(&[b"012345"]) };
    let refused = bodies.read_stream(&none, &mut endless, unknown(1)).await;
    assert!(matches!(refused, Err(BodyError::Overloaded(Bound::Network))));
    let mut large = Chunks::new(&[b"01234", b"56789"]);
    let other = bodies.read_stream(&none, &mut large, unknown(2)).await.unwrap();
    drop(first);
    bodies.read_stream(&none, &mut half(), unknown(1)).await.unwrap();
    drop((second, other));
    assert_eq!(bodies.memory().bytes, 0);
}

#[actix_web::test]
async fn abandoned_body_gives_its_room_back() {
    let bodies = bodies();
    let mut body = Chunks { ends: false, ..Chunks::new(&[b"01234"]) };
    let headers = HeaderMap::new();
    let mut reading = Box::pin(bodies.read_stream(&headers, &mut body, LIMITS));
    let pending = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending())).await;
    assert!(pending);
    assert_eq!(bodies.memory().bytes, 5);
    drop(reading);
    assert_eq!(bodies.memory().bytes, 0);
}

#[actix_web::test]
async fn body_over_a_quarter_of_the_memory_is_too_large() {
    // A tenant's own limit may be higher than the server's memory.
    let bodies = Bodies::start(20, 1).unwrap();
    let mut body = Chunks::new(&[b"012345"]);
    let refused = bodies.read_stream(&HeaderMap::new(), &mut body, LIMITS).await;
    let Err(BodyError::Refused(Problem::PayloadTooLarge { limit: 5, .. })) = refused else {
        panic!("{:?}", refused.err());
    };
}

#[actix_web::test]
async fn text_larger_than_its_body_is_charged() {
    let bodies = bodies();
    let read = bodies.read_stream(&HeaderMap::new(), &mut Chunks::new(&[b"01234"]), LIMITS).await;
    let mut body = read.unwrap().body;
    assert!(body.grow(10).is_ok());
    assert_eq!(bodies.memory().bytes, 15);
    let read = bodies.read_stream(&HeaderMap::new(), &mut Chunks::new(&[b"0"]), LIMITS).await;
    let mut other = read.unwrap().body;
    assert!(matches!(other.grow(5), Err(BodyError::Overloaded(Bound::Tenant))));
    // More than the tenant's half, even if it had no other body.
    let never = other.grow(20);
    assert!(matches!(never, Err(BodyError::Refused(Problem::PayloadTooLarge { limit: 20, .. }))));
    drop(body);
    assert!(other.grow(19).is_ok());
    drop(other);
    assert_eq!(bodies.memory().bytes, 0);
}

#[actix_web::test]
async fn broken_compressed_body_is_a_malformed_encoding() {
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let mut body = Chunks::new(&[b"{}"]);
        let problem =
            read_bytes(&headers(&[("content-encoding", coding)]), &mut body, LIMITS).await;
        let problem = problem.unwrap_err();
        assert_eq!(
            (problem.code().as_str(), problem.status().as_u16()),
            ("malformed_encoding", 400)
        );
        assert!(problem.parts().detail.contains(coding), "{problem}");
    }
}

#[actix_web::test]
async fn unsupported_type_or_coding_is_refused_before_the_body() {
    for (pairs, code) in [
        (&[("content-type", "text/html")], "unsupported_media_type"),
        (&[("content-encoding", "lzma")], "unsupported_content_encoding"),
        (&[("content-encoding", "gzip, br")], "unsupported_content_encoding"),
    ] {
        let mut body = Chunks { ends: false, ..Chunks::new(&[b"{}"]) };
        let problem = read_bytes(&headers(pairs), &mut body, LIMITS).await.unwrap_err();
        assert_eq!(
            (problem.code().as_str(), problem.status_code().as_u16()),
            (code, 415),
            "{pairs:?}"
        );
        assert_eq!(body.taken, 0);
    }
}

#[tokio::test]
async fn body_of_a_foreign_client_is_known_by_its_first_bytes() {
    let limits = BodyLimits { headers: BodyHeaders::Any, ..LIMITS };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, b"{}").unwrap();
    let gzip = gzip.finish().unwrap();
    let zlib = &b"\x78\x9c\xab\xae\x05\x00\x01\x75\x00\xf9"[..];
    let zstd = zstd::encode_all(&b"{}"[..], 0).unwrap();
    // The shortest text whose length makes the header of its Brotli that of gzip.
    let text = [&b"{}"[..], &b" ".repeat(138)].concat();
    let mut brotli = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { lgwin: 24, ..Default::default() };
    brotli::BrotliCompress(&mut &*text, &mut brotli, &parameters).unwrap();
    assert_eq!(brotli[..2], [0x1f, 0x8b]);
    for (body, coding, media_type) in [
        // RudderStack's server client, with and without its coding; PostHog's browser client.
        (&gzip[..], Some("gzip"), Some("application/x-www-form-urlencoded")),
        (&gzip[..], None, Some("text/plain")),
        (zlib, None, None),
        (&zstd[..], None, Some("x/y")),
        (&brotli[..], Some("br"), None),
        // A proxy has decompressed it, and kept the header.
        (b"{}", Some("gzip"), Some("application/json")),
        (b"{}", None, Some("text/plain;charset=ISO-8859-1")),
    ] {
        let mut pairs = Vec::new();
        pairs.extend(coding.map(|coding| ("content-encoding", coding)));
        pairs.extend(media_type.map(|media_type| ("content-type", media_type)));
        let read = Bodies::start(1_000, 1).unwrap();
        let wide = BodyLimits { max_bytes: 150, ..limits };
        let body = read.read_stream(&headers(&pairs), &mut Chunks::new(&[body]), wide).await;
        let bytes = body.map(|read| read.body.bytes).unwrap_or_default();
        assert_eq!(bytes.trim_ascii_end(), b"{}", "{pairs:?}");
    }
}
